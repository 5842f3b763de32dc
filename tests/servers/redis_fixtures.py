"""Redis fixtures: import them into a conftest, or into a module by an assignment."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from typing import Protocol

import pytest
from structlog.typing import FilteringBoundLogger
from tests.servers.redis import RedisServer

from healthprobe.adapters.redis import RedisPublisher


class OpenPublisher(Protocol):
    def __call__(self, url: str, *, logger: FilteringBoundLogger | None = ...) -> RedisPublisher: ...


@pytest.fixture(scope="session")
def shared_redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def redis_server(shared_redis: RedisServer) -> RedisServer:
    """Returns one process for all tests, emptied. Users that a test creates remain."""
    shared_redis.command("FLUSHALL")
    return shared_redis


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """Yields a process for one test, to kill, pause and restrict; what it acknowledges is on its disk."""
    with RedisServer(durable=True) as server:
        yield server


@pytest.fixture
async def open_publisher() -> AsyncIterator[OpenPublisher]:
    """Yields a function that opens publishers by URL; they are closed after the test."""
    async with AsyncExitStack() as stack:

        def open_publisher(url: str, *, logger: FilteringBoundLogger | None = None) -> RedisPublisher:
            publisher = RedisPublisher.of_url(url, logger=logger)
            stack.push_async_callback(publisher.aclose)
            return publisher

        yield open_publisher
