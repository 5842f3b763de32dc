"""The database: one connection that reads and one that writes, each on a thread of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Self, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from healthprobe.adapters.sql import schema
from healthprobe.adapters.sql.errors import Raised, at_opening, plain_error
from healthprobe.adapters.sql.place import WRITES, Place
from healthprobe.adapters.sql.postgres import SCHEMES, PostgresServer
from healthprobe.adapters.sql.sqlite import SqliteFile

Result = TypeVar("Result")


def place_of(url: str) -> Place:
    """The place that `url` names: `sqlite:PATH` or `postgresql://…`. Raises ConfigurationError."""
    if url.partition(":")[0] in SCHEMES:
        return PostgresServer(url)
    return SqliteFile.of_url(url)


class SqlDatabase:
    """A database that holds runtime records, health events, relay cursors and dead letters. Made by `open`.

    A transaction is one plain function of a connection, run whole on a thread: no await can tear it, a cancelled caller
    leaves it complete or not begun, and what it computes never holds up the event loop. Reads and writes have a thread
    each, so that no listing waits for another program's lock or for the disk. `aclose` ends it.
    """

    def __init__(self, place: Place, engine: Engine) -> None:
        self._place = place
        self._reader = engine
        self._writer = engine.execution_options(**{WRITES: True})
        self._reading = ThreadPoolExecutor(1, "healthprobe-sql-read")
        self._writing = ThreadPoolExecutor(1, "healthprobe-sql-write")

    @property
    def name(self) -> str:
        """How messages call it: its path, or its address without credentials."""
        return self._place.name

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self._reader.dialect.name

    @classmethod
    async def open(cls, url: str, *, create: bool = True) -> Self:
        """Open the database that `url` names, making its schema at its first use and migrating an older one.

        With `create` false the schema must exist already: for commands that only read. Raises ConfigurationError, and
        leaves everything as it was, for a database that is not ours, that cannot be written, or that a newer program
        made; LogError where it is away for now.
        """
        place = place_of(url)
        database = cls(place, place.engine())
        return await database._opened(database._create if create else database._check)

    @classmethod
    async def open_foreign(cls, url: str) -> Self:
        """Open somebody else's database, to read it and no more: no schema of ours is looked for or made.

        Raises ConfigurationError or, where it is away for now, LogError.
        """
        place = place_of(url)
        place.find()
        database = cls(place, place.reading_engine())
        return await database._opened(database._connect)

    async def read(self, work: Callable[[Connection], Result], kind: type[Raised]) -> Result:
        """Run `work` in a transaction that reads. Raises an error of `kind`: StoreError or LogError."""
        return await self._run(self._reading, self._reader, work, kind)

    async def write(self, work: Callable[[Connection], Result], kind: type[Raised]) -> Result:
        """Run `work` in a transaction that writes: it is on the disk when this returns. Raises an error of `kind`."""
        return await self._run(self._writing, self._writer, work, kind)

    async def aclose(self) -> None:
        """End both threads, once the transactions they are in are complete, and close the connections."""
        await asyncio.to_thread(self._close)

    async def _opened(self, work: Callable[[], None]) -> Self:
        try:
            await asyncio.get_running_loop().run_in_executor(self._writing, work)
        except BaseException:
            await self.aclose()
            raise
        return self

    async def _run(
        self, thread: ThreadPoolExecutor, engine: Engine, work: Callable[[Connection], Result], kind: type[Raised]
    ) -> Result:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(thread, self._transact, engine, work, kind)

    def _transact(self, engine: Engine, work: Callable[[Connection], Result], kind: type[Raised]) -> Result:
        if not self._place.is_in_place():
            raise kind(f"{self.name} was removed or replaced while in use: restart healthprobe")
        try:
            with engine.begin() as connection:
                return work(connection)
        except (SQLAlchemyError, ValueError) as error:
            raise plain_error(error, kind, self._place, reading=engine is self._reader) from error

    def _create(self) -> None:
        self._place.look(create=True)
        try:
            with self._writer.begin() as connection:
                schema.prepare(connection, self._place)
            self._place.settle(self._writer)
        except SQLAlchemyError as error:
            self._reader.dispose()
            self._place.abandon()
            raise at_opening(error, self._place) from error

    def _check(self) -> None:
        self._place.look(create=False)
        try:
            with self._reader.begin() as connection:
                is_current = schema.check(connection, self._place)
            if not is_current:
                with self._writer.begin() as connection:
                    schema.prepare(connection, self._place)
        except SQLAlchemyError as error:
            raise at_opening(error, self._place) from error

    def _connect(self) -> None:
        try:
            with self._reader.begin():
                pass
        except SQLAlchemyError as error:
            raise at_opening(error, self._place) from error

    def _close(self) -> None:
        self._reading.shutdown()
        self._writing.shutdown()
        self._reader.dispose()
