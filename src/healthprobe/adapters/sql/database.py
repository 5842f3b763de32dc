"""A database with one connection that reads and one that writes, each on a thread of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Self, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from healthprobe.adapters.sql import schema
from healthprobe.adapters.sql.backend import WRITES, Backend
from healthprobe.adapters.sql.errors import PortError, opening_error, transaction_error
from healthprobe.adapters.sql.postgres import PostgresServer
from healthprobe.adapters.sql.postgres_url import SCHEMES
from healthprobe.adapters.sql.raw_values import is_about_a_value, raw_values
from healthprobe.adapters.sql.sqlite import SqliteFile

Result = TypeVar("Result")
Work = Callable[[Connection], Result]


def backend_of(url: str) -> Backend:
    """Returns the backend of `sqlite:PATH` or `postgresql://…`. Raises ConfigurationError."""
    if url.partition(":")[0] in SCHEMES:
        return PostgresServer(url)
    return SqliteFile.of_url(url)


class SqlDatabase:
    """A database of runtime records, health events, relay cursors and dead letters. Made by `open`, closed by `aclose`.

    A transaction is one function of a connection that runs on a thread: a cancelled caller leaves it complete or not
    begun, and it never blocks the event loop. Where a value cannot be read it runs once more, and gets that value raw.
    Reads and writes have a thread each, so that no listing waits for another program's lock or for the disk.
    """

    def __init__(self, backend: Backend, engine: Engine) -> None:
        self._backend = backend
        self._reader = engine
        self._writer = engine.execution_options(**{WRITES: True})
        self._reading = ThreadPoolExecutor(1, "healthprobe-sql-read")
        self._writing = ThreadPoolExecutor(1, "healthprobe-sql-write")

    @property
    def name(self) -> str:
        """The name in messages: a path, or a URL without credentials."""
        return self._backend.name

    @classmethod
    async def open(cls, url: str, *, create: bool = True) -> Self:
        """Opens the database at `url`, creates the schema in a new one and migrates an older one.

        If not `create`, the schema must exist: for commands that only read. Raises ConfigurationError, and changes
        nothing, for a database of another program, of a newer version, or that cannot be written; LogError if a retry
        may help.
        """
        backend = backend_of(url)
        database = cls(backend, backend.engine())
        return await database._run_first(database._create if create else database._check)

    @classmethod
    async def open_foreign(cls, url: str) -> Self:
        """Opens the database of another program, only to read it; no schema is expected or created.

        Raises ConfigurationError, or LogError if a retry may help.
        """
        backend = backend_of(url)
        backend.check_exists()
        database = cls(backend, backend.read_only_engine())
        return await database._run_first(database._connect)

    async def read(self, work: Callable[[Connection], Result], kind: type[PortError]) -> Result:
        """Runs `work` in a transaction that reads. Raises an error of `kind`."""
        return await self._run(self._reading, self._reader, work, kind)

    async def write(self, work: Callable[[Connection], Result], kind: type[PortError]) -> Result:
        """Runs `work` in a transaction that writes, and is on the disk when this returns. Raises an error of `kind`."""
        return await self._run(self._writing, self._writer, work, kind)

    async def aclose(self) -> None:
        """Ends both threads after their current transactions, and closes the connections."""
        await asyncio.to_thread(self._close)

    async def _run_first(self, work: Callable[[], None]) -> Self:
        try:
            await asyncio.get_running_loop().run_in_executor(self._writing, work)
        except BaseException:
            await self.aclose()
            raise
        return self

    async def _run(
        self, thread: ThreadPoolExecutor, engine: Engine, work: Callable[[Connection], Result], kind: type[PortError]
    ) -> Result:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(thread, self._transact, engine, work, kind)

    def _transact(self, engine: Engine, work: Callable[[Connection], Result], kind: type[PortError]) -> Result:
        if not self._backend.is_in_place():
            raise kind(f"{self.name} was removed or replaced while in use: restart healthprobe")
        try:
            try:
                with engine.begin() as connection:
                    return work(connection)
            except (SQLAlchemyError, ValueError, OverflowError, NotImplementedError) as error:
                if not is_about_a_value(error):
                    raise
            with engine.begin() as connection, raw_values(connection):
                return work(connection)
        except (SQLAlchemyError, ValueError, OverflowError) as error:
            raise transaction_error(error, kind, self.name, reading=engine is self._reader) from error

    def _create(self) -> None:
        self._backend.check_usable(create=True)
        try:
            with self._writer.begin() as connection:
                schema.prepare(connection, self._backend)
            self._backend.after_creation(self._writer)
        except SQLAlchemyError as error:
            self._reader.dispose()
            self._backend.discard_creation()
            raise opening_error(error, self.name) from error

    def _check(self) -> None:
        self._backend.check_usable(create=False)
        try:
            with self._reader.begin() as connection:
                is_current = schema.check(connection, self._backend)
            if not is_current:
                with self._writer.begin() as connection:
                    schema.prepare(connection, self._backend)
        except SQLAlchemyError as error:
            raise opening_error(error, self.name) from error

    def _connect(self) -> None:
        try:
            with self._reader.begin():
                pass
        except SQLAlchemyError as error:
            raise opening_error(error, self.name) from error

    def _close(self) -> None:
        self._reading.shutdown()
        self._writing.shutdown()
        self._reader.dispose()
