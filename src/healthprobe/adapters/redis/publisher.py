"""Redis Streams as a bus: one entry an event, in order, and once where the server can tell."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from itertools import islice

import structlog
from redis.exceptions import RedisError, ResponseError
from structlog.typing import FilteringBoundLogger

from healthprobe.adapters.redis.address import StreamAddress
from healthprobe.adapters.redis.appending import OnceEach, Plainly
from healthprobe.adapters.redis.entry import Entry
from healthprobe.adapters.redis.errors import plain_error, refuses_scripts
from healthprobe.domain.event import HealthEvent
from healthprobe.ports import PublishError

PORTION = 100
"""The most entries sent at once: redis-py packs them in about a millisecond, which the event loop has to wait for."""

PATIENCE = 4.0
"""How long an acknowledgement may take, in seconds, connecting included."""


class RedisPublisher:
    """Appends events to a stream. It connects when there is something to publish: until then a server may be away.

    Where the server runs scripts, an event that is delivered again within a day stands in the stream once, whoever
    delivered it. Where it does not, `logger` is told so once, and consumers tell by the id.
    """

    def __init__(self, address: StreamAddress, *, logger: FilteringBoundLogger | None = None) -> None:
        self._address = address
        self._client = address.client(PATIENCE)
        self._plainly = Plainly(self._client, address, PATIENCE)
        self._once: OnceEach | None = OnceEach(self._client, address, PATIENCE)
        self._logger = logger

    @classmethod
    def of_url(cls, url: str, *, logger: FilteringBoundLogger | None = None) -> RedisPublisher:
        """A publisher to the stream that `url` names. Raises ConfigurationError; nothing is connected yet."""
        return cls(StreamAddress.of_url(url), logger=logger)

    async def publish(self, events: Sequence[HealthEvent]) -> None:
        """Append `events` in order; returns when the server has acknowledged the last.

        Raises PublishError, permanent for an event whose text is none. It takes at most `PATIENCE` seconds from one
        acknowledgement to the next. After a cancelled call the events that it was at may have arrived.
        """
        delivered = 0
        while delivered < len(events):
            entries = self._portion(events, delivered)
            try:
                appended, trouble = await self._append(entries)
            except (RedisError, OSError) as error:
                raise plain_error(error, self._address, delivered) from error
            delivered += appended
            if trouble is not None:
                raise plain_error(trouble, self._address, delivered) from trouble

    async def aclose(self) -> None:
        """Close the connection; a server that is silent even then holds nobody up for longer than `PATIENCE`."""
        with contextlib.suppress(RedisError):
            await self._client.aclose()

    async def _append(self, entries: Sequence[Entry]) -> tuple[int, RedisError | OSError | None]:
        """How many of `entries` are known to have entered, and what the next one met."""
        if self._once is None:
            return await self._plainly.append(entries)
        try:
            await self._once.append(entries)
        except ResponseError as error:
            if not refuses_scripts(error):
                raise
            appended, trouble = await self._plainly.append(entries)
            if trouble is None:
                self._do_without_scripts(error)
            return appended, trouble
        return len(entries), None

    def _portion(self, events: Sequence[HealthEvent], first: int) -> Sequence[Entry]:
        """The entries to send next."""
        entries = []
        for event in islice(events, first, first + PORTION):
            try:
                entries.append(Entry.of(event))
            except UnicodeEncodeError as error:
                if entries:
                    break
                raise PublishError(
                    f"{self._address.name}: an event cannot be written as text: {error}",
                    permanent=True,
                    delivered=first,
                ) from error
        return entries

    def _do_without_scripts(self, refusal: ResponseError) -> None:
        self._once = None
        with contextlib.suppress(Exception):
            (self._logger or structlog.get_logger()).warning(
                "redis runs no script for us: an event delivered twice stands in the stream twice, with the same id",
                publisher=self._address.name,
                err=" ".join(str(refusal).split()),
            )
