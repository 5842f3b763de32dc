"""What differs between kinds of databases, as a Protocol. All else in this room is the same for each."""

from __future__ import annotations

from typing import Protocol

from sqlalchemy import Connection, Engine

WRITES = "healthprobe_writes"
"""The execution option of transactions that write: they take the write lock as they begin, never later."""

READ_TIMEOUT = 10.0
"""Seconds that a statement that reads may take before the database cancels it."""

LOCK_TIMEOUT = 2.0
"""Seconds that a writer waits for another program's lock: fewer than a shutdown may take."""


class Backend(Protocol):
    """One database of some kind, before and while it is open."""

    @property
    def name(self) -> str:
        """The name in messages, without credentials."""
        ...

    @property
    def identity(self) -> str:
        """The same for two URLs of the same database."""
        ...

    def engine(self) -> Engine:
        """Returns an engine with two connections, to read and to write. A commit returns when it is on the disk."""
        ...

    def read_only_engine(self) -> Engine:
        """Returns an engine with one connection that cannot write, for the database of another program."""
        ...

    def check_encoding(self, connection: Connection) -> None:
        """Raises ConfigurationError for a database that cannot hold every character. Changes nothing."""
        ...

    def check_usable(self, *, create: bool) -> None:
        """Raises ConfigurationError for a database that cannot be used. Changes nothing."""
        ...

    def check_exists(self) -> None:
        """Raises ConfigurationError if there is nothing to read. Changes nothing."""
        ...

    def after_creation(self, engine: Engine) -> None:
        """Completes the database once it has the schema. Raises ConfigurationError."""
        ...

    def discard_creation(self) -> None:
        """Removes what was made, after the schema could not be created."""
        ...

    def foreign_schema(self, connection: Connection) -> str | None:
        """Returns why the schema must not be created here, or None: tables of another program may be in its place."""
        ...

    def is_in_place(self) -> bool:
        """Returns whether the database that is open is still the one of this name."""
        ...
