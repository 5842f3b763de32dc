"""The database: one connection that reads and one that writes, each on a thread of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Self, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from healthprobe.adapters.sql import schema
from healthprobe.adapters.sql.errors import Raised, plain_error
from healthprobe.adapters.sql.sqlite import WRITES, SqliteFile
from healthprobe.ports import ConfigurationError, LogError

Result = TypeVar("Result")


class SqlDatabase:
    """A database that holds runtime records, health events and relay cursors. Made by `open`, ended by `aclose`.

    A transaction is one plain function of a connection, run whole on a thread: no await can tear it, a cancelled caller
    leaves it complete or not begun, and what it computes never holds up the event loop. Reads and writes have a thread
    each, so that no listing waits for another program's lock or for the disk.
    """

    def __init__(self, file: SqliteFile) -> None:
        self._file = file
        self._reader: Engine = file.engine()
        self._writer = self._reader.execution_options(**{WRITES: True})
        self._reading = ThreadPoolExecutor(1, "healthprobe-sql-read")
        self._writing = ThreadPoolExecutor(1, "healthprobe-sql-write")

    @property
    def name(self) -> str:
        """How messages call it: its path."""
        return self._file.name

    @classmethod
    async def open(cls, url: str, *, create: bool = True) -> Self:
        """Open the database that `url` names (`sqlite:PATH`), creating it at its first use.

        With `create` false it must exist already, and nothing is written: for commands that only read. Raises
        ConfigurationError, and leaves everything as it was, for a database that is not ours, that cannot be written, or
        that a newer program made.
        """
        database = cls(SqliteFile.of_url(url))
        try:
            work = database._create if create else database._check
            await asyncio.get_running_loop().run_in_executor(database._writing, work)
        except BaseException:
            await database.aclose()
            raise
        return database

    async def read(self, work: Callable[[Connection], Result], kind: type[Raised]) -> Result:
        """Run `work` in a transaction that reads. Raises an error of `kind`: StoreError or LogError."""
        return await self._run(self._reading, self._reader, work, kind)

    async def write(self, work: Callable[[Connection], Result], kind: type[Raised]) -> Result:
        """Run `work` in a transaction that writes: it is on the disk when this returns. Raises an error of `kind`."""
        return await self._run(self._writing, self._writer, work, kind)

    async def aclose(self) -> None:
        """End both threads, once the transactions they are in are complete, and close the file."""
        await asyncio.to_thread(self._close)

    async def _run(
        self, thread: ThreadPoolExecutor, engine: Engine, work: Callable[[Connection], Result], kind: type[Raised]
    ) -> Result:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(thread, self._transact, engine, work, kind)

    def _transact(self, engine: Engine, work: Callable[[Connection], Result], kind: type[Raised]) -> Result:
        if not self._file.is_in_place():
            raise kind(f"{self.name} was removed or replaced while in use: restart healthprobe")
        try:
            with engine.begin() as connection:
                return work(connection)
        except (SQLAlchemyError, ValueError) as error:
            raise plain_error(error, kind, self.name) from error

    def _create(self) -> None:
        is_new = not self._file.path.exists()
        self._file.look(create=True)
        try:
            with self._writer.begin() as connection:
                schema.prepare(connection, self.name)
            self._file.settle(self._writer)
        except SQLAlchemyError as error:
            self._reader.dispose()
            if is_new:
                self._file.remove_if_empty()
            raise ConfigurationError(str(plain_error(error, LogError, self.name))) from error

    def _check(self) -> None:
        self._file.look(create=False)
        try:
            with self._reader.begin() as connection:
                schema.check(connection, self.name)
        except SQLAlchemyError as error:
            raise ConfigurationError(str(plain_error(error, LogError, self.name))) from error

    def _close(self) -> None:
        self._reading.shutdown()
        self._writing.shutdown()
        self._reader.dispose()
