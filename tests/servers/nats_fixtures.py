"""NATS fixtures: import them into a module by an assignment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from itertools import count
from typing import Protocol

import nats
import pytest
from tests.servers.nats import NatsCluster, NatsServer

from healthprobe.adapters.nats import JetStreamLog
from healthprobe.adapters.nats.address import NatsAddress
from healthprobe.adapters.nats.connection import JetStream

_prefixes = count(1)


class OpenLog(Protocol):
    async def __call__(self, url: str, *, by_claims: bool = ..., create: bool = ...) -> JetStreamLog: ...


@pytest.fixture(scope="module")
def nats_server(nats_process: NatsServer) -> Iterator[NatsServer]:
    """Returns one process for all tests."""
    yield nats_process
    asyncio.run(_clear(nats_process.url()))


@pytest.fixture
def prefix() -> str:
    """Returns a prefix for one test."""
    return f"test{next(_prefixes)}"


@pytest.fixture
def nats_url(nats_server: NatsServer, prefix: str) -> str:
    """Returns the URL of that server, with the prefix."""
    return nats_server.url(f"?prefix={prefix}")


@pytest.fixture
def own_nats() -> Iterator[NatsServer]:
    """Yields a process for one test, to kill and to pause."""
    with NatsServer() as server:
        yield server


@pytest.fixture(scope="module")
def nats_cluster(nats_processes: NatsCluster) -> Iterator[NatsCluster]:
    """Returns three processes for all tests, which must not be changed."""
    nats_processes.wait_until_whole()
    yield nats_processes
    asyncio.run(_clear(nats_processes.url()))


@pytest.fixture
def nats_cluster_url(nats_cluster: NatsCluster, prefix: str) -> str:
    """Returns the URL of that cluster, with the prefix."""
    return nats_cluster.url(f"?prefix={prefix}")


@pytest.fixture
async def open_log() -> AsyncIterator[OpenLog]:
    """Yields a function that opens logs by URL, each on its own connection; they are closed after the test."""
    async with AsyncExitStack() as stack:

        async def open_log(url: str, *, by_claims: bool = False, create: bool = True) -> JetStreamLog:
            stream = await JetStream.open(NatsAddress.of_url(url))
            stack.push_async_callback(stream.aclose)
            return await JetStreamLog.open(stream, by_claims=by_claims, create=create)

        yield open_log


async def _clear(url: str) -> None:
    """Deletes all streams: a hundred replicated ones take an eighth of a core even if unused."""
    client = await nats.connect(list(NatsAddress.of_url(url).servers))
    try:
        stream = client.jetstream(timeout=30.0)
        for each in await stream.streams_info():
            await stream.delete_stream(each.config.name or "")
    finally:
        await client.close()
