"""The stage: what all casts share, the engines and the servers that they talk to."""

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
from chaos.form import Form
from chaos.oracle import Oracle
from chaos.play import Play


@dataclass(frozen=True, slots=True)
class Stage:
    """`chance` makes all choices of the harness. `folder` is for files."""

    form: Form
    chance: random.Random
    folder: Path
    play: Play
    canary: Canary
    redis: RedisServer

    @property
    def records(self) -> Path:
        return self.folder / "games.json"


@dataclass(frozen=True, slots=True)
class SqlStage(Stage):
    """Where the log is in a database."""

    postgres: PostgresServer


@asynccontextmanager
async def set_up(form: Form, seed: int, oracle: Oracle) -> AsyncIterator[Stage]:
    """Everything runs until the context ends, and then nothing of it is left."""
    chance = random.Random(seed)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="healthprobe-chaos-")))
        play = stack.enter_context(Play(form, chance, oracle))
        redis = stack.enter_context(RedisServer(durable=True))
        canary = await stack.enter_async_context(Canary(play.canary))
        stage = Stage(form, chance, folder, play, canary, redis)
        play.write_records(stage.records)
        yield stage


@asynccontextmanager
async def sql_stage(form: Form, seed: int) -> AsyncIterator[SqlStage]:
    """The same, with PostgreSQL."""
    with PostgresServer() as postgres:
        async with set_up(form, seed, Oracle()) as stage:
            yield SqlStage(
                stage.form, stage.chance, stage.folder, stage.play, stage.canary, stage.redis, postgres=postgres
            )
