"""What SQLite alone needs: a path, pragmas, its write lock, its dialect of SQL, and a look that touches nothing."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path
from stat import S_ISREG
from typing import Any, Self

import msgspec
from sqlalchemy import URL, Connection, Engine, Table, create_engine, event
from sqlalchemy.dialects import sqlite as dialect
from sqlalchemy.pool import QueuePool

from healthprobe.adapters.sql import schema
from healthprobe.adapters.sql.errors import sqlite_advice
from healthprobe.ports import ConfigurationError

BUSY_TIMEOUT = 2.0
"""How long a writer waits for another program's lock, in seconds: shorter than the time a shutdown may take."""

WRITES = "healthprobe_writes"
"""The execution option of transactions that write: they take the write lock as they begin, never half-way."""

_ROOM = 64 * 1024
"""What SQLite needs beside the file before it can so much as read: an index of 32 KiB and a few pages, in bytes."""


class SqliteFile:
    """One database file, by its path."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = str(path)
        self._inode: int | None = None

    @classmethod
    def of_url(cls, url: str) -> Self:
        """The file that `sqlite:PATH` names. Raises ConfigurationError."""
        scheme, _, path = url.partition(":")
        if scheme != "sqlite" or not path or path.startswith(("//", ":")):
            raise ConfigurationError(f"{url} is not a database: write sqlite:PATH, as in sqlite:healthprobe.db")
        return cls(Path(os.path.expanduser(path)))  # noqa: PTH111 -- leaves an unknown home as it is, Path raises

    def look(self, *, create: bool) -> None:
        """Refuse what cannot be used, by looking alone: nothing is written, locked or left beside the file.

        Raises ConfigurationError. What this lets pass is judged again under the write lock (`schema.prepare`).
        """
        try:
            status = self.path.stat() if self._is_usable_place(create=create) else None
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"{self.name} cannot be opened: {_reason(error)}") from error
        if status is None:
            return
        if not S_ISREG(status.st_mode):
            raise ConfigurationError(f"{self.name} is not a file: choose another path")
        if not os.access(self.path, os.R_OK | os.W_OK, effective_ids=True):
            raise ConfigurationError(f"{self.name} cannot be read and written: change its permissions")
        if status.st_size:
            self._look_inside()

    def _is_usable_place(self, *, create: bool) -> bool:
        """Whether there is a file, in a folder where SQLite can keep its -wal file beside it."""
        folder = self.path.parent
        if not folder.is_dir():
            raise ConfigurationError(f"{self.name}: there is no folder {folder}: create it, or choose another path")
        exists = self.path.exists()
        if not exists and not create:
            raise ConfigurationError(schema.empty(self.name))
        if not os.access(folder, os.W_OK | os.X_OK, effective_ids=True):
            raise ConfigurationError(f"{self.name}: the folder {folder} cannot be written: change its permissions")
        disk = os.statvfs(folder)
        if create and disk.f_blocks and disk.f_bfree * disk.f_frsize < _ROOM:
            raise ConfigurationError(f"{self.name}: its disk is full: free some space")
        return exists

    def _look_inside(self) -> None:
        """Read the file as it lies on the disk, without a lock, a journal or a -wal file.

        The schema is always there: it is written before the file is switched to WAL. A page that is being written at
        this moment can look damaged, so only what is seen for certain is refused.
        """
        address = f"{self.path.absolute().as_uri()}?mode=ro&immutable=1"
        try:
            with closing(sqlite3.connect(address, uri=True)) as connection:
                tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
                if tables and schema.schema_versions.name not in tables:
                    raise ConfigurationError(schema.not_ours(self.name))
                rows = connection.execute("SELECT version FROM healthprobe_schema") if tables else ()
                version = max((row[0] for row in rows), default=0)
        except sqlite3.DatabaseError as error:
            advice, _ = sqlite_advice(error)
            if error.sqlite_errorcode == sqlite3.SQLITE_NOTADB:
                raise ConfigurationError(f"{self.name}: {advice}") from error
            return
        if version > schema.VERSION:
            raise ConfigurationError(schema.newer(self.name, version))

    def engine(self) -> Engine:
        """An engine with two connections, to read and to write. A commit returns when it is on the disk."""
        engine = create_engine(
            URL.create("sqlite", database=self.name),
            poolclass=QueuePool,
            pool_size=2,
            max_overflow=0,
            connect_args={"timeout": BUSY_TIMEOUT, "isolation_level": None},
            json_serializer=lambda value: msgspec.json.encode(value).decode(),
        )
        event.listen(engine, "connect", _configure)
        event.listen(engine, "begin", _begin)
        return engine

    def settle(self, engine: Engine) -> None:
        """Switch the file to write-ahead logging, so that readers and the writer never wait for each other.

        Raises ConfigurationError where that cannot be, for instance on a file system without shared memory.
        """
        with engine.connect() as connection:
            try:
                mode = _switch_to_wal(_driver(connection))
            except sqlite3.Error as error:
                raise ConfigurationError(f"{self.name}: {sqlite_advice(error)[0]}") from error
        if mode != "wal":
            raise ConfigurationError(f"{self.name}: SQLite cannot share memory here: choose a path on a local disk")
        self._inode = self.path.stat().st_ino

    def is_in_place(self) -> bool:
        """Whether the path still names the file that is open; if not, what is committed would be lost."""
        try:
            return self._inode is None or self.path.stat().st_ino == self._inode
        except OSError:
            return False

    def remove_if_empty(self) -> None:
        with suppress(OSError):
            if self.path.stat().st_size == 0:
                self.path.unlink()


def upsert(table: Table) -> dialect.Insert:
    """Insert or replace by primary key."""
    statement = dialect.insert(table)
    replaced = {column.name: statement.excluded[column.name] for column in table.columns if not column.primary_key}
    return statement.on_conflict_do_update(index_elements=list(table.primary_key), set_=replaced)


def _configure(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA synchronous = FULL")


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get(WRITES)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _switch_to_wal(connection: sqlite3.Connection) -> str:
    """Two programs that open a new file at once meet here, and SQLite makes neither wait for the other."""
    deadline = time.monotonic() + BUSY_TIMEOUT
    while True:
        try:
            return str(connection.execute("PRAGMA journal_mode = WAL").fetchone()[0])
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _driver(connection: Connection) -> Any:
    return connection.connection.driver_connection


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
