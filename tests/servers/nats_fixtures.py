"""NATS for every room: a module imports these fixtures by an assignment."""

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
    """The same process for all tests."""
    yield nats_process
    asyncio.run(_clear(nats_process.url()))


@pytest.fixture
def prefix() -> str:
    """A prefix of the test's own."""
    return f"test{next(_prefixes)}"


@pytest.fixture
def nats_url(nats_server: NatsServer, prefix: str) -> str:
    """That server, under it."""
    return nats_server.url(f"?prefix={prefix}")


@pytest.fixture
def own_nats() -> Iterator[NatsServer]:
    """A process of the test's own, to kill and to pause."""
    with NatsServer() as server:
        yield server


@pytest.fixture(scope="module")
def nats_cluster(nats_processes: NatsCluster) -> Iterator[NatsCluster]:
    """The same three processes for all tests, to be left as they are."""
    yield nats_processes
    asyncio.run(_clear(nats_processes.url()))


@pytest.fixture
def nats_cluster_url(nats_cluster: NatsCluster, prefix: str) -> str:
    """That cluster, under a prefix of the test's own."""
    return nats_cluster.url(f"?prefix={prefix}")


@pytest.fixture
async def open_log() -> AsyncIterator[OpenLog]:
    """Opens logs by URL, each on a connection of its own, which are closed at the end of the test."""
    async with AsyncExitStack() as stack:

        async def open_log(url: str, *, by_claims: bool = False, create: bool = True) -> JetStreamLog:
            stream = await JetStream.open(NatsAddress.of_url(url))
            stack.push_async_callback(stream.aclose)
            return await JetStreamLog.open(stream, by_claims=by_claims, create=create)

        yield open_log


async def _clear(url: str) -> None:
    """Delete all streams: a hundred that are replicated take an eighth of a core, though nobody uses them any more."""
    client = await nats.connect(list(NatsAddress.of_url(url).servers))
    try:
        stream = client.jetstream(timeout=30.0)
        for each in await stream.streams_info():
            await stream.delete_stream(each.config.name or "")
    finally:
        await client.close()
