"""Duties: what one instance does for all who share a log. It delivers to the publishers, and it prunes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from healthprobe.app.retention import Retention
from healthprobe.ports import PublishError
from healthprobe.worker.relay import Relay


class DutyRoster(Protocol):
    """Tells whether the duties are this instance's now."""

    @property
    def has_duties(self) -> bool: ...

    def on_change(self, tell: Callable[[], None]) -> None: ...


class Duties:
    """Runs relays and retention while they are ours: always, where there is no `leases`.

    Whoever has them after us goes on from the cursors in the log. What we deliver in the moment in which they pass on
    may come again, as after a kill.
    """

    def __init__(self, relays: tuple[Relay, ...], retention: Retention | None, leases: DutyRoster | None) -> None:
        self._relays = relays
        self._retention = retention
        self._leases = leases
        self._changed = asyncio.Event()
        if leases is not None:
            leases.on_change(self._changed.set)

    @property
    def are_ours(self) -> bool:
        return self._leases is None or self._leases.has_duties

    def wake(self) -> None:
        """The log has something new to deliver."""
        for relay in self._relays:
            relay.wake()

    async def run(self) -> None:
        """Until cancelled. Raises PublishError once no publisher will ever take an event again."""
        while True:
            self._changed.clear()
            if self.are_ours:
                await self._perform_until_changed()
            else:
                await self._changed.wait()

    async def drain(self, within: float) -> None:
        """Deliver what the log holds now, for at most `within` seconds, if that is our duty."""
        if self.are_ours:
            await asyncio.gather(*(relay.drain(within) for relay in self._relays))

    async def _perform_until_changed(self) -> None:
        """Perform until the duties are somebody else's."""
        works = [asyncio.create_task(self._relay())]
        if self._retention is not None:
            works.append(asyncio.create_task(self._retention.run()))
        try:
            while self.are_ours:
                self._changed.clear()
                changed = asyncio.create_task(self._changed.wait())
                ended, _ = await asyncio.wait({changed, *works}, return_when=asyncio.FIRST_COMPLETED)
                changed.cancel()
                for work in ended - {changed}:
                    work.result()
        finally:
            for work in works:
                work.cancel()
            await asyncio.gather(*works, return_exceptions=True)

    async def _relay(self) -> None:
        await asyncio.gather(*(relay.run() for relay in self._relays))
        raise PublishError("stopped, for nobody takes health events any more; they are kept in the log", permanent=True)
