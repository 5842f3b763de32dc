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
from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect
from sqlalchemy.pool import QueuePool

from healthprobe.adapters.sql import schema
from healthprobe.adapters.sql.place import LOCK_TIMEOUT, READ_TIMEOUT, WRITES, Judgement
from healthprobe.domain.endpoint import masked
from healthprobe.ports import ConfigurationError

_ADVICE = {
    "SQLITE_FULL": "its disk is full: free some space",
    "SQLITE_IOERR": "its disk refuses to read or write: look for a full, failing or unmounted disk",
    "SQLITE_BUSY": "it is locked by another program: let that one finish",
    "SQLITE_LOCKED": "it is locked by another program: let that one finish",
    "SQLITE_READONLY": "it cannot be written: change the permissions of the file and its folder",
    "SQLITE_PERM": "it cannot be opened: change the permissions of the file and its folder",
    "SQLITE_CANTOPEN": "it cannot be opened: look at its folder and the permissions there",
    "SQLITE_CORRUPT": "it is damaged: restore it from a backup, or move it away to begin afresh",
    "SQLITE_NOTADB": "it is not an SQLite database: choose another path",
    "SQLITE_INTERRUPT": f"a query took longer than {READ_TIMEOUT:g}s and was given up",
}
_PERMANENT = {
    "SQLITE_CORRUPT",
    "SQLITE_NOTADB",
    "SQLITE_TOOBIG",
    "SQLITE_MISMATCH",
    "SQLITE_CONSTRAINT",
    "SQLITE_ERROR",
}

_PASSING = {"SQLITE_BUSY", "SQLITE_LOCKED"}

_STEPS_BETWEEN_LOOKS_AT_THE_CLOCK = 10_000
_ROOM = 64 * 1024
"""What SQLite needs beside the file before it can so much as read: an index of 32 KiB and a few pages, in bytes."""


class SqliteFile:
    """One database file, by its path."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = str(path)
        self._inode: int | None = None
        self._is_new = False

    @property
    def identity(self) -> str:
        """One file, however its path is written."""
        return str(self.path.resolve())

    @classmethod
    def of_url(cls, url: str) -> Self:
        """The file that `sqlite:PATH` names. Raises ConfigurationError."""
        scheme, _, path = url.partition(":")
        if scheme != "sqlite" or not path or path.startswith(("//", ":")):
            raise ConfigurationError(f"{masked(url)} is not a database: write sqlite:PATH, as in sqlite:healthprobe.db")
        return cls(Path(os.path.expanduser(path)))  # noqa: PTH111 -- leaves an unknown home as it is, Path raises

    def look(self, *, create: bool) -> None:
        """Refuse what cannot be used, by looking alone: nothing is written, locked or left beside the file.

        Raises ConfigurationError. What this lets pass is judged again under the write lock (`schema.prepare`).
        """
        self._is_new = not self.path.exists()
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

    def _advice_on(self, error: sqlite3.Error) -> str:
        judged = self.judge(error)
        return judged.advice if judged else str(error)

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
            if error.sqlite_errorcode == sqlite3.SQLITE_NOTADB:
                raise ConfigurationError(f"{self.name}: {self._advice_on(error)}") from error
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
            connect_args={"timeout": LOCK_TIMEOUT, "isolation_level": None},
            json_serializer=lambda value: msgspec.json.encode(value).decode(),
        )
        event.listen(engine, "connect", _configure)
        event.listen(engine, "begin", _begin)
        return engine

    def reading_engine(self) -> Engine:
        """An engine with one connection that cannot write, and whose queries end in time."""
        address = f"{self.path.absolute().as_uri()}?mode=ro"
        engine = create_engine(
            "sqlite://",
            poolclass=QueuePool,
            pool_size=1,
            max_overflow=0,
            creator=lambda: _reading_connection(address),
        )
        event.listen(engine, "begin", _begin_within_time)
        return engine

    def find(self) -> None:
        """Refuse a path where no file is. What it holds shows at the first query."""
        if not self.path.is_file():
            raise ConfigurationError(f"{self.name} is not there: choose the path of the database that holds the games")

    def settle(self, engine: Engine) -> None:
        """Switch the file to write-ahead logging, so that readers and the writer never wait for each other.

        Raises ConfigurationError where that cannot be, for instance on a file system without shared memory.
        """
        with engine.connect() as connection:
            try:
                mode = _switch_to_wal(_driver(connection))
            except sqlite3.Error as error:
                raise ConfigurationError(f"{self.name}: {self._advice_on(error)}") from error
        if mode != "wal":
            raise ConfigurationError(f"{self.name}: SQLite cannot share memory here: choose a path on a local disk")
        self._inode = self.path.stat().st_ino

    def is_in_place(self) -> bool:
        """Whether the path still names the file that is open; if not, what is committed would be lost."""
        try:
            return self._inode is None or self.path.stat().st_ino == self._inode
        except OSError:
            return False

    def abandon(self) -> None:
        """Remove the file where we have made it and nothing is in it."""
        with suppress(OSError):
            if self._is_new and self.path.stat().st_size == 0:
                self.path.unlink()

    def strangers(self, connection: Connection) -> str | None:
        """Any table at all: the file belongs to another program."""
        return schema.not_ours(self.name) if inspect(connection).get_table_names() else None

    def judge(self, error: Exception) -> Judgement | None:
        """What an error of sqlite3 means; None for one that is not sqlite3's."""
        if not isinstance(error, sqlite3.Error):
            return None
        code = "_".join((getattr(error, "sqlite_errorname", None) or "").split("_")[:2])
        advice = " ".join(_ADVICE.get(code, str(error)).split())
        is_useless = code in _PERMANENT or isinstance(error, sqlite3.ProgrammingError)
        return Judgement(advice, permanent=is_useless, passes=code in _PASSING, read_only=code == "SQLITE_READONLY")


def _reading_connection(address: str) -> sqlite3.Connection:
    """It is opened on one thread, and used on another."""
    return sqlite3.connect(address, uri=True, isolation_level=None, timeout=LOCK_TIMEOUT, check_same_thread=False)


def _configure(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA synchronous = FULL")


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get(WRITES)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _begin_within_time(connection: Connection) -> None:
    latest = time.monotonic() + READ_TIMEOUT
    _driver(connection).set_progress_handler(lambda: time.monotonic() > latest, _STEPS_BETWEEN_LOOKS_AT_THE_CLOCK)
    connection.exec_driver_sql("BEGIN")


def _switch_to_wal(connection: sqlite3.Connection) -> str:
    """Two programs that open a new file at once meet here, and SQLite makes neither wait for the other."""
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
