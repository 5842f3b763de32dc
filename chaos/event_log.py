"""The event log, read and altered by plain SQL on a connection of its own, without healthprobe's code."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import psycopg

from chaos.engines import ALTERED
from chaos.oracle import Document

_DOWN = (psycopg.Error, sqlite3.Error)
_CONNECT_SECONDS = 2

_COUNT = f"SELECT count(*) FROM health_events WHERE game_id <> '{ALTERED}'"
_KEYS = ("id", "sequence", "game_id", "container_id", "event_type", "occurred_at", "details", "labels")
_EVENTS = f"SELECT {', '.join(_KEYS)} FROM health_events WHERE game_id <> '{ALTERED}' ORDER BY position"

_ALTER = "UPDATE health_events SET details ="


class ReadableLog(Protocol):
    """A log of events, read while others write it. It may be down at any time."""

    async def count(self) -> int:
        """Returns how many events it holds; -1 while it is down."""
        ...

    async def events(self) -> list[Document]:
        """Returns all events, in the order of the log."""
        ...

    async def aclose(self) -> None: ...


class EventLog:
    """The table of health events in a database. `connect` opens a connection; the database may be down at any time.

    `broken` is a text that the column of details takes, and that no details are. The events of `ALTERED` are left out.
    """

    def __init__(self, connect: Callable[[], Any], broken: str) -> None:
        self._connect = connect
        self._broken = broken
        self._connection: Any = None

    @classmethod
    def in_postgres(cls, url: str) -> EventLog:
        return cls(lambda: psycopg.connect(url, autocommit=True, connect_timeout=_CONNECT_SECONDS), '"altered"')

    @classmethod
    def in_sqlite(cls, path: Path) -> EventLog:
        address = f"{path.as_uri()}?mode=rw"
        return cls(
            lambda: sqlite3.connect(address, uri=True, isolation_level=None, check_same_thread=False), '{"altered'
        )

    async def count(self) -> int:
        """Returns how many events it holds; -1 while it is down or has no table yet."""
        try:
            return int((await self._query(_COUNT))[0][0])
        except _DOWN:
            return -1

    async def events(self) -> list[Document]:
        """Returns all events, in the order of the log."""
        return [_document(row) for row in await self._query(_EVENTS)]

    async def alter(self) -> bool:
        """Breaks the details of the events of `ALTERED`. Returns whether there are any."""
        return bool(await self._query(f"{_ALTER} '{self._broken}' WHERE game_id = '{ALTERED}' RETURNING 1"))

    async def aclose(self) -> None:
        if self._connection is not None:
            await asyncio.to_thread(self._connection.close)
            self._connection = None

    async def _query(self, statement: str) -> list[Any]:
        try:
            if self._connection is None:
                self._connection = await asyncio.to_thread(self._connect)
            return await asyncio.to_thread(lambda: self._connection.execute(statement).fetchall())
        except _DOWN:
            await self.aclose()
            raise


def _document(row: Sequence[Any]) -> Document:
    event = dict(zip(_KEYS, row, strict=True))
    for key in ("details", "labels"):
        if isinstance(event[key], str):  # SQLite has no type for it
            event[key] = json.loads(event[key])
    return {key: value for key, value in event.items() if value is not None}
