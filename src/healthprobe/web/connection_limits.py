"""The door: how many may be connected at once, and for how long without asking anything."""

from __future__ import annotations

import asyncio
import resource

from uvicorn.protocols.http.h11_impl import H11Protocol

MOST = 512
ASKS_WITHIN = 10.0
"""How long a connection may be open, in seconds, without a whole request: since it began, or since its last answer."""


def most_connections() -> int:
    """How many may be connected at once: a quarter of the descriptors at the most, for the others are the probes'."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST if soft == resource.RLIM_INFINITY else max(1, min(MOST, soft // 4))


class Door(H11Protocol):
    """One connection of a reader. Above the limit of its server it is closed at once; so is one that keeps silent, or
    sends its request a byte at a time: whoever reaches the port could hold all descriptors else, and needs no token.
    """

    _waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        if self.limit_concurrency is not None and len(self.connections) > self.limit_concurrency:
            transport.abort()
            return
        self._wait()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
        super().connection_lost(exc)

    def _wait(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
        self._waiting = self.loop.call_later(ASKS_WITHIN, self._cut_off_unless_it_asked)

    def _cut_off_unless_it_asked(self) -> None:
        if getattr(self.cycle, "response_complete", True):  # before the first request there is no cycle
            self.transport.abort()
