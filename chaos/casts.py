"""The three casts: with PostgreSQL, with PostgreSQL and Redis behind proxies that cut, with SQLite on a small disk."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from tests.servers.postgres import PostgresServer
from tests.servers.proxy import CuttingProxy
from tests.servers.redis import RedisServer
from tests.support.program import PROGRAM

from chaos.cast import Cast
from chaos.disk import SmallDisk, small_disk
from chaos.event_log import EventLog
from chaos.stage import SqlStage
from chaos.stepped_clock import SteppedClock
from chaos.tear import Tear

DISK_MEBIBYTES = 16
"""Room for what SQLite keeps beside its database: a write-ahead log of 4 MiB."""


class PostgresCast(Cast):
    """The log in PostgreSQL, and everybody at hand to have a fault."""

    postgres: PostgresServer
    redis: RedisServer

    @asynccontextmanager
    async def stepped_clock(self) -> AsyncIterator[Callable[[float], None]]:
        """The program runs with a clock that calls step, with the seconds by which it is ahead from then on."""
        clock = SteppedClock(self.stage.folder / "clock")

        def step(offset: float) -> None:
            self.play.oracle.clock_steps(offset)
            clock.step(offset)

        self.program.runs_by(clock.command)
        await self.program.is_up(self.form.patience)
        try:
            yield step
        finally:
            step(0.0)
            self.program.runs_by(PROGRAM)


@dataclass(frozen=True, slots=True)
class Line:
    """A way to a server on which connections can be lost: in the middle of its answers, or of what it is sent."""

    answers: CuttingProxy
    sent: Tear


class ProxiedCast(Cast):
    """PostgreSQL and Redis are reached through lines that can be cut."""

    to_postgres: Line
    to_redis: Line


class SqliteCast(Cast):
    """The log in SQLite, on a disk that is soon full."""

    disk: SmallDisk


@asynccontextmanager
async def postgres_cast(stage: SqlStage) -> AsyncIterator[PostgresCast]:
    async with AsyncExitStack() as stack:
        url = stage.postgres.url("chaos")
        cast = PostgresCast(stage)
        await cast.enter(stack, "postgres", url, EventLog.in_postgres(url), stage.redis.port)
        cast.postgres, cast.redis = stage.postgres, stage.redis
        yield cast


@asynccontextmanager
async def proxied_cast(stage: SqlStage) -> AsyncIterator[ProxiedCast]:
    async with AsyncExitStack() as stack:
        cast = ProxiedCast(stage)
        cast.to_postgres = await _line_to(stage.postgres.port, stack)
        cast.to_redis = await _line_to(stage.redis.port, stack)
        log = EventLog.in_postgres(stage.postgres.url("chaos_cut"))
        url = stage.postgres.address(cast.to_postgres.answers.port, "chaos_cut")
        await cast.enter(stack, "proxied", url, log, cast.to_redis.answers.port)
        yield cast


@asynccontextmanager
async def sqlite_cast(stage: SqlStage) -> AsyncIterator[SqliteCast]:
    """Raises CannotMount where there can be no small disk."""
    async with AsyncExitStack() as stack:
        cast = SqliteCast(stage)
        cast.disk = stack.enter_context(small_disk(stage.folder / "disk", DISK_MEBIBYTES))
        file = cast.disk.folder / "log.db"
        await cast.enter(stack, "sqlite", f"sqlite:{file}", EventLog.in_sqlite(file), stage.redis.port)
        yield cast


async def _line_to(port: int, stack: AsyncExitStack) -> Line:
    sent = await stack.enter_async_context(Tear(port))
    return Line(await stack.enter_async_context(CuttingProxy(sent.port)), sent)
