"""Publishes events to a Redis Stream: one entry per event, in order; without duplicates if the server runs scripts."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from itertools import islice

from redis.exceptions import RedisError, ResponseError

from healthprobe._util.safe_logging import Logger, SafeLogger
from healthprobe.adapters.redis.address import StreamAddress
from healthprobe.adapters.redis.appending import CommandAppender, ScriptAppender
from healthprobe.adapters.redis.entry import Entry
from healthprobe.adapters.redis.errors import one_line, publish_error, refuses_scripts
from healthprobe.domain.event import DEFAULT_SOURCE, HealthEvent

BATCH = 100
"""The most entries sent at once: redis-py packs them in about a millisecond, which blocks the event loop."""

TIMEOUT = 4.0
"""Seconds that an acknowledgement may take, connecting included."""


class RedisPublisher:
    """Appends events to a stream. It connects at the first event: until then the server may be away.

    If the server runs scripts, an event that is delivered again within a day is in the stream once, even if another
    process delivers it. If it does not, this is logged once, and consumers recognize repeats by the id.
    """

    def __init__(self, address: StreamAddress, *, logger: Logger | None = None) -> None:
        self._address = address
        self._client = address.client(TIMEOUT)
        self._by_command = CommandAppender(self._client, address, TIMEOUT)
        self._by_script: ScriptAppender | None = ScriptAppender(self._client, address, TIMEOUT)
        self._logger = SafeLogger(logger, publisher=address.name)
        self._source = DEFAULT_SOURCE

    @classmethod
    def of_url(cls, url: str, *, logger: Logger | None = None) -> RedisPublisher:
        """Returns a publisher to the stream in `url`. Raises ConfigurationError. Does not connect."""
        return cls(StreamAddress.of_url(url), logger=logger)

    async def publish(self, events: Sequence[HealthEvent]) -> None:
        """Appends `events` in order; returns when the server has acknowledged the last.

        It takes at most `TIMEOUT` seconds from one acknowledgement to the next. Raises PublishError (see `errors`), and
        the next call connects anew: after a failover the name of the server leads to another one.
        After a cancellation the events of the current batch may have been added.
        """
        delivered = 0
        while delivered < len(events):
            error: Exception | None
            try:
                appended, error = await self._append(self._batch(events, delivered))
            except (RedisError, OSError, UnicodeEncodeError) as raised:
                appended, error = 0, raised
            delivered += appended
            if error is not None:
                await self._disconnect()
                raise publish_error(error, self._address, delivered) from error

    async def reach(self) -> None:
        """Asks the server for an answer, and writes nothing. Raises PublishError."""
        try:
            async with asyncio.timeout(TIMEOUT):
                await self._client.ping()
        except (RedisError, OSError) as error:
            raise publish_error(error, self._address, 0) from error
        finally:
            await self._disconnect()

    def set_source(self, source: str) -> None:
        """Sets the field `source` of all entries from now on, a URI reference that no other log has."""
        self._source = source

    async def aclose(self) -> None:
        """Closes the connection, within `TIMEOUT` seconds even if the server does not answer."""
        with contextlib.suppress(RedisError):
            await self._client.aclose()

    async def _disconnect(self) -> None:
        with contextlib.suppress(RedisError, OSError):
            await self._client.connection_pool.disconnect()

    async def _append(self, entries: Sequence[Entry]) -> tuple[int, Exception | None]:
        """Returns how many of `entries` were acknowledged, and the error of the next one."""
        if self._by_script is None:
            return await self._by_command.append(entries)
        try:
            await self._by_script.append(entries)
        except ResponseError as refusal:
            if not refuses_scripts(refusal):
                raise
            appended, error = await self._by_command.append(entries)
            if error is None:
                self._by_script = None
                self._log_without_scripts(refusal)
            return appended, error
        return len(entries), None

    def _batch(self, events: Sequence[HealthEvent], first: int) -> Sequence[Entry]:
        """Returns the entries to send next: all before one that cannot be written. Raises UnicodeEncodeError."""
        entries: list[Entry] = []
        for event in islice(events, first, first + BATCH):
            try:
                entries.append(Entry.of(event, self._source))
            except UnicodeEncodeError:
                if entries:
                    break
                raise
        return entries

    def _log_without_scripts(self, refusal: ResponseError) -> None:
        self._logger.warning(
            "redis runs no scripts: an event that is delivered twice is in the stream twice, with the same id",
            err=one_line(refusal),
        )
