"""Fixtures for all tests. The event loop of a coroutine test depends on its folder."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from pathlib import Path

import pytest
import structlog
import uvloop
from hypothesis import settings
from tests.servers.nats import NatsCluster, NatsServer
from tests.servers.postgres import PostgresServer

from healthprobe.testing.clock import VirtualTimeLoop

pytest_plugins = ["tests.support.programs"]

settings.register_profile("any-machine", deadline=None)  # how long an example takes depends on what else runs
settings.load_profile("any-machine")

LoopFactory = Callable[[], asyncio.AbstractEventLoop]

ON_UVLOOP: Mapping[str, LoopFactory] = {"uvloop": uvloop.new_event_loop}
LOOPS_OF_ROOM: Mapping[str, Mapping[str, LoopFactory]] = {
    "worker": {"virtual": VirtualTimeLoop},
    "alarms": {"virtual": VirtualTimeLoop},
    "status": {"virtual": VirtualTimeLoop},
    "probing": {**ON_UVLOOP, "asyncio": asyncio.new_event_loop},
}


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> Mapping[str, LoopFactory]:
    """Runs tests of worker, alarms and status in virtual time, probers on both loops, others on uvloop."""
    room, *_ = item.path.relative_to(Path(__file__).parent).parts
    return LOOPS_OF_ROOM.get(room) or ON_UVLOOP


@pytest.hookimpl(tryfirst=True)  # before tests are chosen by their marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leaves probers on the standard loop to the slow tests: the program runs on uvloop."""
    for item in items:
        if isinstance(item, pytest.Function) and "[asyncio" in item.name:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(autouse=True)
def _logging_defaults() -> Iterator[None]:
    """Resets the logging that a test has configured."""
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A real PostgreSQL server, started by the first test that needs it."""
    with PostgresServer() as server:
        yield server


@pytest.fixture(scope="session")
def nats_process() -> Iterator[NatsServer]:
    """A real NATS server, started by the first test that needs it."""
    with NatsServer() as server:
        yield server


@pytest.fixture(scope="session")
def nats_processes() -> Iterator[NatsCluster]:
    """A cluster of three NATS servers, started by the first test that needs it."""
    with NatsCluster() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def _database_numbers() -> Iterator[int]:
    return count(1)


@pytest.fixture
def postgres_url(postgres_server: PostgresServer, _database_numbers: Iterator[int]) -> str:
    """The URL of a new, empty PostgreSQL database."""
    return postgres_server.url(f"test_{next(_database_numbers)}")


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a new, empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:{tmp_path / 'healthprobe.db'}"
    return str(request.getfixturevalue("postgres_url"))
