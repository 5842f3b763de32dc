"""The place: what a kind of database brings along, so that all the rest of this room is the same for each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import Connection, Engine

WRITES = "healthprobe_writes"
"""The execution option of transactions that write: they take the write lock as they begin, never half-way."""

READ_TIMEOUT = 10.0
"""How long one statement that reads may take, in seconds, before the database is told to give it up."""

LOCK_TIMEOUT = 2.0
"""How long a writer waits for another program's lock, in seconds: shorter than the time a shutdown may take."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a driver's error means: what to change, in one line, and whether trying again is useless.

    `passes` tells that it may end by itself, so that a program that starts does well to wait for it. `read_only` tells
    that something was to be written where nothing may be.
    """

    advice: str
    permanent: bool = False
    passes: bool = True
    read_only: bool = False


class Place(Protocol):
    """Where a database lies, and what its kind alone knows."""

    @property
    def name(self) -> str:
        """How messages call it; without credentials."""
        ...

    @property
    def identity(self) -> str:
        """The same for two URLs that name the same database."""
        ...

    def engine(self) -> Engine:
        """An engine with two connections, to read and to write. A commit returns when it is on the disk."""
        ...

    def reading_engine(self) -> Engine:
        """An engine with one connection that cannot write, into a database of somebody else."""
        ...

    def look(self, *, create: bool) -> None:
        """Refuse what cannot be used, by looking alone. Raises ConfigurationError."""
        ...

    def find(self) -> None:
        """Refuse what is not there to be read, whoever made it, by looking alone. Raises ConfigurationError."""
        ...

    def settle(self, engine: Engine) -> None:
        """Do what remains to be done once the schema is there. Raises ConfigurationError."""
        ...

    def abandon(self) -> None:
        """Making the database failed: leave nothing behind."""
        ...

    def strangers(self, connection: Connection) -> str | None:
        """Why a schema of ours must not be made here, where that is so: what stands in its place is somebody else's."""
        ...

    def is_in_place(self) -> bool:
        """Whether what is committed now will be found again under this name."""
        ...

    def judge(self, error: Exception) -> Judgement | None:
        """What an error of the driver means; None for one that is not the driver's."""
        ...
