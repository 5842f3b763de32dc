"""The environment: the engines and servers that all deployments share."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.servers.postgres import PostgresServer
from tests.servers.redis import RedisServer

from chaos.canary import Canary
from chaos.engines import Engines
from chaos.form import Form
from chaos.oracle import Oracle


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
