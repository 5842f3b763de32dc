"""Which event loop a test runs on is decided by its room; a test that is not a coroutine never meets a loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from pathlib import Path

import pytest
import structlog
import uvloop
from tests.servers.nats import NatsCluster, NatsServer
from tests.servers.postgres import PostgresServer

from healthprobe.testing.clock import VirtualTimeLoop

pytest_plugins = ["tests.support.programs"]

LoopFactory = Callable[[], asyncio.AbstractEventLoop]

ON_UVLOOP: Mapping[str, LoopFactory] = {"uvloop": uvloop.new_event_loop}
LOOPS_OF_ROOM: Mapping[str, Mapping[str, LoopFactory]] = {
    "worker": {"virtual": VirtualTimeLoop},
    "status": {"virtual": VirtualTimeLoop},
    "probing": {**ON_UVLOOP, "asyncio": asyncio.new_event_loop},
}


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> Mapping[str, LoopFactory]:
    """The worker and what is seen of it are proven in virtual time, the prober on both loops that a user may bring.

    All else is proven on uvloop.
    """
    room, *_ = item.path.relative_to(Path(__file__).parent).parts
    return LOOPS_OF_ROOM.get(room) or ON_UVLOOP


@pytest.fixture(autouse=True)
def _logging_as_it_comes() -> Iterator[None]:
    """No test inherits how another one set up the log."""
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A real PostgreSQL server, started once, by the first test that wants it."""
    with PostgresServer() as server:
        yield server


@pytest.fixture(scope="session")
def nats_process() -> Iterator[NatsServer]:
    """A real NATS server, started once, by the first test that wants it."""
    with NatsServer() as server:
        yield server


@pytest.fixture(scope="session")
def nats_processes() -> Iterator[NatsCluster]:
    """Three that replicate, likewise."""
    with NatsCluster() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def _database_numbers() -> Iterator[int]:
    return count(1)


@pytest.fixture
def postgres_url(postgres_server: PostgresServer, _database_numbers: Iterator[int]) -> str:
    """A new, empty database on it."""
    return postgres_server.url(f"test_{next(_database_numbers)}")


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new, empty database, once of each kind."""
    if request.param == "sqlite":
        return f"sqlite:{tmp_path / 'healthprobe.db'}"
    return str(request.getfixturevalue("postgres_url"))
