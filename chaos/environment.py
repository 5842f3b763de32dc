"""The environment: the engines and servers that all deployments share."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self
from urllib.parse import urlsplit

from tests.servers.postgres import PostgresServer
from tests.servers.redis import RedisServer

from chaos.engines import Engines
from chaos.form import Form
from chaos.oracle import Oracle

_ASK_EVERY = 0.05
_REQUEST = b"GET /healthz HTTP/1.1\r\nHost: canary\r\n\r\n"


class Canary:
    """Probes the healthy engine at `endpoint`, each time on a fresh connection, as a new program does.

    `slowest` is the longest answer since it was last set to 0, in seconds.
    """

    def __init__(self, endpoint: str) -> None:
        self.slowest = 0.0
        self._address = urlsplit(endpoint)
        self._asking: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._asking = asyncio.create_task(self._ask_again_and_again())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._asking is not None
        self._asking.cancel()
        await asyncio.gather(self._asking, return_exceptions=True)

    async def _ask_again_and_again(self) -> None:
        while True:
            began = time.monotonic()
            with suppress(OSError, asyncio.IncompleteReadError):
                await self._ask()
            self.slowest = max(self.slowest, time.monotonic() - began)
            await asyncio.sleep(_ASK_EVERY)

    async def _ask(self) -> None:
        reader, writer = await asyncio.open_connection(self._address.hostname, self._address.port)
        try:
            writer.write(_REQUEST)
            await reader.readuntil(b"\r\n\r\n")
        finally:
            writer.close()


@dataclass(frozen=True, slots=True)
class Environment:
    """`chance` makes all random choices of the harness. `folder` is for files."""

    form: Form
    chance: random.Random
    folder: Path
    engines: Engines
    canary: Canary
    redis: RedisServer

    @property
    def records(self) -> Path:
        return self.folder / "games.json"


@dataclass(frozen=True, slots=True)
class SqlEnvironment(Environment):
    """An environment with PostgreSQL."""

    postgres: PostgresServer


@asynccontextmanager
async def environment_for(form: Form, seed: int, oracle: Oracle) -> AsyncIterator[Environment]:
    """Starts the engines and Redis, and stops them when the context ends."""
    chance = random.Random(seed)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="healthprobe-chaos-")))
        engines = stack.enter_context(Engines(form, chance, oracle))
        redis = stack.enter_context(RedisServer(durable=True))
        canary = await stack.enter_async_context(Canary(engines.canary))
        environment = Environment(form, chance, folder, engines, canary, redis)
        engines.write_records(environment.records)
        yield environment


@asynccontextmanager
async def sql_environment(form: Form, seed: int) -> AsyncIterator[SqlEnvironment]:
    """Starts PostgreSQL as well."""
    with PostgresServer() as postgres:
        async with environment_for(form, seed, Oracle()) as environment:
            yield SqlEnvironment(
                environment.form,
                environment.chance,
                environment.folder,
                environment.engines,
                environment.canary,
                environment.redis,
                postgres=postgres,
            )
