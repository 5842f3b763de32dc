"""The three deployments: PostgreSQL; PostgreSQL and Redis behind cutting proxies; SQLite on a small disk."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import LiteralString

from tests.servers.postgres import PostgresServer
from tests.servers.proxy import CuttingProxy
from tests.servers.redis import RedisServer
from tests.support.program import PROGRAM

from chaos.deployment import Deployment
from chaos.disk import SmallDisk, small_disk
from chaos.engines import RACK
from chaos.environment import SqlEnvironment
from chaos.event_log import EventLog
from chaos.stepped_clock import SteppedClock
from chaos.tear import Tear
from chaos.waiting import finish

_NOBODY = 1
"""The port of the primary that a replica never finds: it keeps its data."""

DISK_MEBIBYTES = 16
"""Room for the database and SQLite's write-ahead log of 4 MiB."""


class SqlDeployment(Deployment):
    """The log is in a database, at hand to be altered."""

    log: EventLog


class PostgresDeployment(SqlDeployment):
    """The log is in PostgreSQL. All servers are at hand to be killed."""

    postgres: PostgresServer
    redis: RedisServer

    @asynccontextmanager
    async def read_only_log(self) -> AsyncIterator[None]:
        """Lets PostgreSQL refuse to write inside the context, as after a failover or an administrator's setting."""
        await finish(lambda: self._administer("ALTER SYSTEM SET default_transaction_read_only = on"))
        try:
            yield
        finally:
            await finish(lambda: self._administer("ALTER SYSTEM RESET default_transaction_read_only"))

    @asynccontextmanager
    async def read_only_redis(self) -> AsyncIterator[None]:
        """Makes Redis a replica inside the context, as a failover does: on every connection it answers READONLY."""
        await finish(lambda: self.redis.command("REPLICAOF", "127.0.0.1", _NOBODY))
        try:
            yield
        finally:
            await finish(lambda: self.redis.command("REPLICAOF", "NO", "ONE"))

    def _administer(self, statement: LiteralString) -> None:
        with self.postgres.connect("postgres") as connection:
            connection.execute(statement)
            connection.execute("SELECT pg_reload_conf()")

    @asynccontextmanager
    async def stepped_clock(self) -> AsyncIterator[Callable[[float], None]]:
        """Runs the program with another wall clock; the function given sets how many seconds it is ahead."""
        clock = SteppedClock(self.environment.folder / "clock")

        def step(offset: float) -> None:
            self.engines.oracle.clock_steps(offset)
            clock.step(offset)

        self.program.run_with(clock.command)
        await self.program.is_up(self.form.patience)
        try:
            yield step
        finally:
            step(0.0)
            self.program.run_with(PROGRAM)


@dataclass(frozen=True, slots=True)
class Line:
    """A route to a server that can lose connections: in the middle of an answer, or of what the server is sent."""

    answers: CuttingProxy
    sent: Tear


class ProxiedDeployment(Deployment):
    """PostgreSQL and Redis are reached through routes that can be cut."""

    to_postgres: Line
    to_redis: Line


class SqliteDeployment(SqlDeployment):
    """The log is in SQLite, on a small disk."""

    disk: SmallDisk
    file: Path

    @asynccontextmanager
    async def locked(self) -> AsyncIterator[None]:
        """Keeps the log locked inside the context, as a backup or a shell left open does."""
        with closing(sqlite3.connect(self.file, isolation_level=None, check_same_thread=False)) as connection:
            await finish(lambda: connection.execute("BEGIN EXCLUSIVE"))
            yield
            connection.execute("ROLLBACK")


@asynccontextmanager
async def postgres_deployment(environment: SqlEnvironment) -> AsyncIterator[PostgresDeployment]:
    async with AsyncExitStack() as stack:
        url = environment.postgres.url("chaos")
        deployment = PostgresDeployment(environment)
        await deployment.enter(stack, "postgres", url, EventLog.in_postgres(url), environment.redis.port)
        deployment.postgres, deployment.redis = environment.postgres, environment.redis
        yield deployment


@asynccontextmanager
async def proxied_deployment(environment: SqlEnvironment) -> AsyncIterator[ProxiedDeployment]:
    async with AsyncExitStack() as stack:
        deployment = ProxiedDeployment(environment)
        deployment.to_postgres = await _line_to(environment.postgres.port, stack)
        deployment.to_redis = await _line_to(environment.redis.port, stack)
        log = EventLog.in_postgres(environment.postgres.url("chaos_cut"))
        url = environment.postgres.address(deployment.to_postgres.answers.port, "chaos_cut")
        await deployment.enter(stack, "proxied", url, log, deployment.to_redis.answers.port)
        yield deployment


@asynccontextmanager
async def sqlite_deployment(environment: SqlEnvironment) -> AsyncIterator[SqliteDeployment]:
    """Raises CannotMount if no disk can be mounted."""
    async with AsyncExitStack() as stack:
        deployment = SqliteDeployment(environment)
        deployment.disk = stack.enter_context(small_disk(environment.folder / "disk", DISK_MEBIBYTES))
        file = deployment.file = deployment.disk.folder / "log.db"
        log = EventLog.in_sqlite(file)
        await deployment.enter(stack, "sqlite", f"sqlite:{file}", log, environment.redis.port, alert_group=RACK)
        yield deployment


async def _line_to(port: int, stack: AsyncExitStack) -> Line:
    sent = await stack.enter_async_context(Tear(port))
    return Line(await stack.enter_async_context(CuttingProxy(sent.port)), sent)
