"""Fixtures for buckets of runtime records: a program that edits them, and stores that watch them."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any, Protocol, Self

import nats
import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.errors import BucketNotFoundError
from nats.js.kv import KeyValue

from healthprobe.adapters.nats import JetStreamRecords
from healthprobe.adapters.nats.address import NatsAddress
from healthprobe.adapters.nats.connection import JetStream
from healthprobe.domain.record import RUNNING, RuntimeRecord
from healthprobe.ports import StoreError

SOON = 30.0
"""Seconds in which a change must show. It takes milliseconds; only a hang takes longer than this."""

AT_LAST = 60.0
"""Seconds in which a change must show after the worst of faults."""


class Platform:
    """Another program, which edits a bucket by nats-py alone."""

    def __init__(self, servers: Sequence[str], bucket: str) -> None:
        self.client = Client()
        self.bucket = bucket
        self._servers = list(servers)
        self._kv: KeyValue | None = None

    async def __aenter__(self) -> Self:
        await self.client.connect(
            self._servers, error_cb=_ignore, max_reconnect_attempts=-1, reconnect_time_wait=1, ping_interval=1
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.close()

    @property
    def jetstream(self) -> JetStreamContext:
        return self.client.jetstream(timeout=2.0)

    async def make(self, **config: Any) -> None:
        """Creates the bucket as nats-py does."""
        self._kv = await self.jetstream.create_key_value(bucket=self.bucket, **config)

    async def kv(self) -> KeyValue:
        if self._kv is None:
            self._kv = await self.jetstream.key_value(self.bucket)
        return self._kv

    async def is_there(self) -> bool:
        try:
            await self.jetstream.key_value(self.bucket)
        except BucketNotFoundError:
            return False
        return True

    async def put(self, key: str, endpoint: str = "http://h:1", **fields: str) -> None:
        """Puts a record under `key`."""
        await self.put_raw(key, json.dumps({"engine_endpoint": endpoint, **fields}).encode())

    async def put_raw(self, key: str, value: bytes) -> None:
        await (await self.kv()).put(key, value)

    async def delete(self, key: str) -> None:
        await (await self.kv()).delete(key)

    async def purge(self, key: str) -> None:
        await (await self.kv()).purge(key)

    async def put_at_last(self, key: str, endpoint: str = "http://h:1") -> None:
        """Puts a record, with retries: while a leader is elected, nothing is accepted."""
        deadline = time.monotonic() + AT_LAST
        while True:
            try:
                return await self.put(key, endpoint)
            except (nats.errors.Error, OSError, TimeoutError):
                assert time.monotonic() < deadline, "nothing is taken any more"
                await asyncio.sleep(0.1)


class Skipped:
    """Records the calls of `on_skipped`."""

    def __init__(self) -> None:
        self.told: list[tuple[int, str]] = []

    def __call__(self, count: int, why: str) -> None:
        self.told.append((count, why))


class Watched:
    """A store that is listed when it notifies of a change, as the worker does."""

    def __init__(self, store: JetStreamRecords) -> None:
        self.store = store
        self.changed = asyncio.Event()
        store.on_change(self.changed.set)

    async def endpoints(self) -> dict[str, str]:
        """Returns the endpoints of the running games; no game may be listed twice."""
        records = await self.store.list_by_status(RUNNING)
        assert len({record.game_id for record in records}) == len(records)
        return {record.game_id: record.engine_endpoint for record in records}

    async def shows(self, *records: RuntimeRecord) -> None:
        """Waits until these are all the records, listed only after a notification."""
        wanted = sorted(records, key=lambda record: record.game_id)
        async with asyncio.timeout(SOON):
            while await self.store.list_all() != wanted:
                await self.changed.wait()
                self.changed.clear()

    async def shows_games(self, *game_ids: str, within: float = AT_LAST) -> None:
        """Waits until these games run; meanwhile the store may raise errors."""
        deadline = time.monotonic() + within
        while True:
            try:
                listed = set(await self.endpoints())
            except StoreError as error:
                listed = {str(error)}
            if listed == set(game_ids):
                return
            assert time.monotonic() < deadline, f"{listed} are listed, not {game_ids}"
            await asyncio.sleep(0.02)

    async def complains(self, within: float = AT_LAST) -> str:
        """Returns its error once it cannot list."""
        deadline = time.monotonic() + within
        while True:
            try:
                await self.store.list_by_status(RUNNING)
            except StoreError as error:
                return str(error)
            assert time.monotonic() < deadline, "it still vouches for what it knows"
            await asyncio.sleep(0.02)


class OpenRecords(Protocol):
    async def __call__(self, url: str, *, create: bool = ..., skipped: Skipped | None = ...) -> Watched: ...


@pytest.fixture
async def open_records() -> AsyncIterator[OpenRecords]:
    """Yields a function that opens stores by URL, each on its own connection; they are closed after the test."""
    async with AsyncExitStack() as stack:

        async def open_records(url: str, *, create: bool = True, skipped: Skipped | None = None) -> Watched:
            stream = await JetStream.open(NatsAddress.of_url(url))
            stack.push_async_callback(stream.aclose)
            store = await JetStreamRecords.open(stream, skipped or Skipped(), create=create)
            stack.push_async_callback(store.aclose)
            return Watched(store)

        yield open_records


OpenPlatform = Callable[[str], Awaitable[Platform]]


@pytest.fixture
async def open_platform() -> AsyncIterator[OpenPlatform]:
    """Yields a function that opens the program that edits the bucket of a URL."""
    async with AsyncExitStack() as stack:

        async def open_platform(url: str) -> Platform:
            address = NatsAddress.of_url(url)
            bucket = address.bucket or f"{address.prefix}_runtime_records"
            return await stack.enter_async_context(Platform(address.servers, bucket))

        yield open_platform


async def _ignore(_: Exception) -> None:
    """Allows time for servers that are killed."""
