"""Looks at a database without changing it: no schema is created or migrated, no lock taken, no file made."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.pool import QueuePool

from healthprobe.adapters.sql import schema
from healthprobe.adapters.sql.backend import Backend
from healthprobe.adapters.sql.database import SqlDatabase, backend_of
from healthprobe.adapters.sql.query import SqlQuery
from healthprobe.adapters.sql.records import SqlRecords
from healthprobe.adapters.sql.schema import health_events
from healthprobe.adapters.sql.sqlite import SqliteFile
from healthprobe.domain.record import RUNNING, RuntimeRecord
from healthprobe.ports import ConfigurationError, LogError, StoreError

OnSkipped = Callable[[int, str], None]


async def look_at_log(url: str) -> str:
    """Returns what a run would find at the URL of a log, in words.

    Raises ConfigurationError if it could not write its events there, LogError if that cannot be known now.
    """
    async with _unchanged(url) as (backend, database):
        if database is None:
            return "a run creates it"
        return await database.read(partial(_judge_log, backend), LogError)


async def look_at_records(url: str, query: str | None, on_skipped: OnSkipped) -> list[RuntimeRecord] | str:
    """Returns the running games at the URL of a store, or in words why there are none yet.

    Raises ConfigurationError, StoreError or LogError.
    """
    async with _unchanged(url) as (backend, database):
        if database is None:
            if query is not None:
                backend.check_exists()
            return "a run creates it, without games"
        if query is not None:
            return await SqlQuery(database, query, on_skipped).list_by_status(RUNNING)
        version = await database.read(partial(_version, backend), StoreError)
        if version != schema.VERSION:
            return _future(version)
        return await SqlRecords(database, on_skipped).list_by_status(RUNNING)


@asynccontextmanager
async def _unchanged(url: str) -> AsyncIterator[tuple[Backend, SqlDatabase | None]]:
    """Yields the database at a URL, which cannot be written then, or None where there is no file yet."""
    backend = backend_of(url)
    if isinstance(backend, SqliteFile):
        await asyncio.to_thread(partial(backend.check_usable, create=True))
        if not backend.path.exists() or not backend.path.stat().st_size:
            yield backend, None
            return
        engine = _snapshot(backend.path)
    else:
        engine = backend.read_only_engine()
    database = SqlDatabase(backend, engine)
    try:
        yield backend, database
    finally:
        await database.aclose()


def _snapshot(path: Path) -> Engine:
    """Returns an engine that reads the file as it is.

    SQLite makes files for one that is in WAL mode, even to read it, unless it is called immutable. It is, as long as
    no program has it open: then there is no -wal file, or an empty one.
    """
    log = path.with_name(f"{path.name}-wal")
    is_idle = not log.exists() or not log.stat().st_size
    address = f"{path.absolute().as_uri()}?mode=ro{'&immutable=1' if is_idle else ''}"
    return create_engine(
        "sqlite://",
        poolclass=QueuePool,
        pool_size=1,
        max_overflow=0,
        creator=lambda: sqlite3.connect(address, uri=True, isolation_level=None, check_same_thread=False),
    )


def _version(backend: Backend, connection: Connection) -> int | None:
    backend.check_encoding(connection)
    version = schema.version_in(connection)
    if version is None:
        if (refusal := backend.foreign_schema(connection)) is not None:
            raise ConfigurationError(refusal)
    else:
        schema.check(connection, backend)
    return version


def _future(version: int | None) -> str:
    if version is None:
        return "a run creates its tables"
    return f"a run changes its schema from version {version} to {schema.VERSION}"


def _judge_log(backend: Backend, connection: Connection) -> str:
    version = _version(backend, connection)
    if connection.dialect.name == "postgresql":
        _check_privileges(backend, connection, is_new=version is None)
    return "it can be written" if version == schema.VERSION else _future(version)


def _check_privileges(backend: Backend, connection: Connection, *, is_new: bool) -> None:
    """Raises ConfigurationError if the server or its permissions refuse writes."""
    if connection.exec_driver_sql("SELECT pg_is_in_recovery()").scalar():
        raise ConfigurationError(f"{backend.name} is a standby, which takes no writes: name the primary")
    wanted = (
        (
            "SELECT has_schema_privilege(current_schema(), 'CREATE')",
            "create tables in its schema: GRANT CREATE ON SCHEMA",
        )
        if is_new
        else (
            f"SELECT has_table_privilege('{health_events.name}', 'INSERT')",
            f"write {health_events.name}: GRANT INSERT ON {health_events.name}",
        )
    )
    question, what = wanted
    if not connection.exec_driver_sql(question).scalar():
        raise ConfigurationError(f"{backend.name}: this user may not {what}")
