"""What is particular to SQLite: its path, pragmas, write lock, and a check that leaves the file as it is."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path
from stat import S_ISREG
from typing import Any, Self

import msgspec
from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect
from sqlalchemy.pool import QueuePool

from healthprobe.adapters.sql import schema
from healthprobe.adapters.sql.backend import LOCK_TIMEOUT, READ_TIMEOUT, WRITES
from healthprobe.adapters.sql.errors import diagnose
from healthprobe.domain.endpoint import masked
from healthprobe.ports import ConfigurationError

_STEPS_BETWEEN_CLOCK_READS = 10_000
_MINIMAL_SPACE = 64 * 1024
"""Bytes that SQLite needs on the disk, besides the file, even to read: an index of 32 KiB and a few pages."""


class SqliteFile:
    """One database file. See `Backend`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = str(path)
        self._inode: int | None = None
        self._is_new = False

    @property
    def identity(self) -> str:
        """The resolved path."""
        return str(self.path.resolve())

    @classmethod
    def of_url(cls, url: str) -> Self:
        """Returns the file of `sqlite:PATH`. Raises ConfigurationError."""
        scheme, _, path = url.partition(":")
        if scheme != "sqlite" or not path or path.startswith(("//", ":")):
            raise ConfigurationError(f"{masked(url)} is not a database: write sqlite:PATH, as in sqlite:healthprobe.db")
        return cls(Path(os.path.expanduser(path)))  # noqa: PTH111 -- leaves an unknown home as it is, Path raises

    def check_usable(self, *, create: bool) -> None:
        """Raises ConfigurationError for a file that cannot be used. Writes and locks nothing, and leaves no file.

        What passes is checked again under the write lock (`schema.prepare`).
        """
        self._is_new = not self.path.exists()
        try:
            status = self.path.stat() if self._is_there(create=create) else None
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"{self.name} cannot be opened: {_reason(error)}") from error
        if status is None:
            return
        if not S_ISREG(status.st_mode):
            raise ConfigurationError(f"{self.name} is not a file: choose another path")
        if not os.access(self.path, os.R_OK | os.W_OK, effective_ids=True):
            raise ConfigurationError(f"{self.name} cannot be read and written: change its permissions")
        if status.st_size:
            self._check_content()

    def check_encoding(self, connection: Connection) -> None:
        """SQLite holds every character: in UTF-8 or UTF-16."""

    def _is_there(self, *, create: bool) -> bool:
        """Returns whether the file exists. Raises ConfigurationError if its folder cannot have a -wal file."""
        folder = self.path.parent
        if not folder.is_dir():
            raise ConfigurationError(f"{self.name}: there is no folder {folder}: create it, or choose another path")
        exists = self.path.exists()
        if not exists and not create:
            raise ConfigurationError(schema.empty(self.name))
        if not os.access(folder, os.W_OK | os.X_OK, effective_ids=True):
            raise ConfigurationError(f"{self.name}: the folder {folder} cannot be written: change its permissions")
        disk = os.statvfs(folder)
        if create and disk.f_blocks and disk.f_bfree * disk.f_frsize < _MINIMAL_SPACE:
            raise ConfigurationError(f"{self.name}: its disk is full: free some space")
        return exists

    def _check_content(self) -> None:
        """Reads the file as it is on the disk, without a lock, a journal or a -wal file.

        The schema is always in it: it is written before the file is switched to WAL. A page that is being written at
        this moment may look damaged, so only what is certain is refused.
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
            if error.sqlite_errorcode == sqlite3.SQLITE_NOTADB:
                raise ConfigurationError(f"{self.name}: {diagnose(error).advice}") from error
            return
        if version > schema.VERSION:
            raise ConfigurationError(schema.newer(self.name, version))

    def engine(self) -> Engine:
        """Returns an engine with two connections, to read and to write. A commit returns when it is on the disk."""
        engine = create_engine(
            URL.create("sqlite", database=self.name),
            poolclass=QueuePool,
            pool_size=2,
            max_overflow=0,
            connect_args={"timeout": LOCK_TIMEOUT, "isolation_level": None},
            json_serializer=lambda value: msgspec.json.encode(value).decode(),
        )
        event.listen(engine, "connect", _configure)
        event.listen(engine, "begin", _begin)
        return engine

    def read_only_engine(self) -> Engine:
        """Returns an engine with one connection that cannot write, and whose queries have a timeout."""
        address = f"{self.path.absolute().as_uri()}?mode=ro"
        engine = create_engine(
            "sqlite://",
            poolclass=QueuePool,
            pool_size=1,
            max_overflow=0,
            creator=lambda: _read_only_connection(address),
        )
        event.listen(engine, "begin", _begin_within_time)
        return engine

    def check_exists(self) -> None:
        """Raises ConfigurationError if there is no file. Its content is checked by the first query."""
        if not self.path.is_file():
            raise ConfigurationError(f"{self.name} is not there: choose the path of the database that holds the games")

    def after_creation(self, engine: Engine) -> None:
        """Switches the file to write-ahead logging, so that readers and the writer never wait for each other.

        Raises ConfigurationError if that is not possible, for instance on a file system without shared memory.
        """
        with engine.connect() as connection:
            try:
                mode = _switch_to_wal(_driver(connection))
            except sqlite3.Error as error:
                raise ConfigurationError(f"{self.name}: {diagnose(error).advice}") from error
        if mode != "wal":
            raise ConfigurationError(f"{self.name}: SQLite cannot share memory here: choose a path on a local disk")
        self._inode = self.path.stat().st_ino

    def is_in_place(self) -> bool:
        """Returns whether the path is still that of the open file. Otherwise commits would be lost."""
        try:
            return self._inode is None or self.path.stat().st_ino == self._inode
        except OSError:
            return False

    def discard_creation(self) -> None:
        """Removes the file if it was made here and is empty."""
        with suppress(OSError):
            if self._is_new and self.path.stat().st_size == 0:
                self.path.unlink()

    def foreign_schema(self, connection: Connection) -> str | None:
        """Any table at all means that the file belongs to another program."""
        return schema.not_ours(self.name) if inspect(connection).get_table_names() else None


def _read_only_connection(address: str) -> sqlite3.Connection:
    """Opens a connection on one thread that another thread may use."""
    return sqlite3.connect(address, uri=True, isolation_level=None, timeout=LOCK_TIMEOUT, check_same_thread=False)


def _configure(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA synchronous = FULL")


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get(WRITES)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _begin_within_time(connection: Connection) -> None:
    latest = time.monotonic() + READ_TIMEOUT
    _driver(connection).set_progress_handler(lambda: time.monotonic() > latest, _STEPS_BETWEEN_CLOCK_READS)
    connection.exec_driver_sql("BEGIN")


def _switch_to_wal(connection: sqlite3.Connection) -> str:
    """Retries while another program switches the same new file: SQLite does not wait for that lock."""
    deadline = time.monotonic() + LOCK_TIMEOUT
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
