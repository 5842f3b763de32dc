"""Values in the rows of our own tables, altered by another program: a bad one concerns its own game alone."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import psycopg
from psycopg import sql
from tests.servers.postgres import PostgresServer

from fuzz.mutation import Mutator, as_text
from fuzz.rows import ALTERED, PAGER, Place, fill, play
from fuzz.target import Draw, Target
from fuzz.values import Values

_EVENT = ("game_id", "sequence", "container_id", "event_type", "occurred_at", "details")
COLUMNS: dict[str, tuple[str, ...]] = {
    "runtime_records": (
        "game_id",
        "current_container_id",
        "engine_endpoint",
        "status",
        "probe",
        "silenced_until",
        "silenced_why",
    ),
    "health_events": (*_EVENT, "id", "position"),
    "relay_cursors": ("name", "position"),
    "dead_letters": (*_EVENT, "publisher", "reason", "parked_at", "due", "number"),
    "healthprobe_documents": ("kind", "key", "document"),
}
"""Every column of every table that a run reads."""

_ROWS = {
    "runtime_records": [f"game_id = '{ALTERED}'"],
    "foreign_games": [f"game_id = '{ALTERED}'"],
    "health_events": [f"game_id = '{ALTERED}' AND sequence = {sequence}" for sequence in (1, 2, 3)],
    "relay_cursors": [f"name = '{PAGER}'"],
    "dead_letters": [f"game_id = '{ALTERED}'"],
    "healthprobe_documents": [f"key = '{ALTERED}'"],
}

_SEEDS = (
    b"altered",
    b"c1",
    b"http://127.0.0.1:8080",
    b"running",
    b'{"path": "/ready", "every": 3}',
    b"2026-11-23T17:00:00.123456Z",
    b"probe_failed",
    b"probe_recovered",
    b"probe_ended",
    b'{"consecutive_failures": 2, "last_status": 503, "last_error": "unexpected status 503"}',
    b'{"prior_failure_count": 2}',
    b"3",
)
_TOKENS = (b"infinity", b"-infinity", b"10000-01-01", b"0044-03-15 BC", b"1e400", b"\xc3", b"\xed\xa0\x80", b"24:00")

Input = tuple[str, str, str, Any, bool, bool, bool]
"""The table, the condition of the row, the column, the value, and whether it is text in spite of being bytes, whether
the program runs meanwhile, and whether it lists the games by a query."""


class Refused(Exception):
    """The database does not take the value."""


def _inputs(values_of: Callable[[Values, Random], tuple[Any, bool]], *, foreign: bool) -> Callable[[Random], Draw]:
    """Returns a source of inputs. `foreign` adds another program's table, which only a query reads."""
    tables = {**COLUMNS, **({"foreign_games": COLUMNS["runtime_records"]} if foreign else {})}

    def source(random: Random) -> Draw:
        values = Values(random, Mutator(random, _SEEDS, _TOKENS))

        def draw() -> Input:
            table = random.choice(list(tables))
            row, column = random.choice(_ROWS[table]), random.choice(tables[table])
            value, as_text = values_of(values, random)
            by_query = table == "foreign_games" or (not foreign and random.random() < 0.5)
            return table, row, column, value, as_text, random.random() < 0.5, by_query

        return draw

    return source


def _cell(values: Values, random: Random) -> tuple[Any, bool]:
    """Returns what a cell of SQLite may hold. Bytes may stand in it as a text that is not UTF-8."""
    value = random.randbytes(random.randint(0, 12)) if random.random() < 0.3 else values.draw_cell()
    if isinstance(value, str):
        return _as_bytes(value), True
    return value, isinstance(value, bytes) and random.random() < 0.5


def _as_bytes(text: str) -> bytes:
    """Returns the bytes of which `as_text` made the text, or those of its lone surrogates."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def _text(values: Values, random: Random) -> tuple[Any, bool]:
    """Returns the text of a value for PostgreSQL, which checks what its types allow."""
    value = values.draw_cell()
    if isinstance(value, bytes):
        value = as_text(value)
    return (value if value is None or random.random() < 0.1 else str(value)), True


class SqliteRows:
    """Rounds over a fresh copy of one SQLite file. Enter it first."""

    @contextmanager
    def entered(self) -> Iterator[None]:
        shared = Path("/dev/shm")
        with TemporaryDirectory(prefix="healthprobe-fuzz-", dir=shared if shared.is_dir() else None) as folder:
            self._template, self._rounds = Path(folder, "template.db"), count(1)
            asyncio.run(fill(f"sqlite:{self._template}"))
            yield

    def feed(self, given: Input) -> None:
        """Plays a round. Raises Refused where SQLite does not take the value."""
        file = self._template.with_name(f"{next(self._rounds)}.db")
        alter = partial(self._alter, file, given)
        _, _, _, _, _, while_running, by_query = given
        try:
            shutil.copy(self._template, file)
            alter()
            if while_running:
                shutil.copy(self._template, file)
            play(Place(f"sqlite:{file}", alter, while_running, "runtime_records" if by_query else None))
        finally:
            for left in file.parent.glob(f"{file.name}*"):
                left.unlink()

    def _alter(self, file: Path, given: Input) -> None:
        table, row, column, value, as_text, _, _ = given
        place = "CAST(? AS TEXT)" if as_text else "?"
        with closing(sqlite3.connect(file, isolation_level=None)) as connection:
            try:
                connection.execute(f"UPDATE {table} SET {column} = {place} WHERE {row}", (value,))
            except (sqlite3.Error, OverflowError) as error:
                raise Refused from error


class PostgresRows:
    """Rounds over one PostgreSQL database, which is filled anew for each. Enter it first."""

    @contextmanager
    def entered(self) -> Iterator[None]:
        with PostgresServer() as server:
            self._url = server.url("fuzz")
            asyncio.run(fill(self._url))
            with server.connect("fuzz") as self._connection:
                self._run(_FOREIGN_TABLE)
                self._run("; ".join(f"CREATE TABLE kept_{table} AS TABLE {table}" for table in _ROWS))
                yield

    def feed(self, given: Input) -> None:
        """Plays a round. Raises Refused where PostgreSQL does not take the value."""
        table, _, _, _, _, while_running, by_query = given
        self._reset()
        self._alter(given)
        if while_running:
            self._reset()
        table_read = table if by_query else None
        play(Place(self._url, partial(self._alter, given), while_running, table_read))

    def _reset(self) -> None:
        self._run("; ".join(f"TRUNCATE {table}; INSERT INTO {table} TABLE kept_{table}" for table in _ROWS))

    def _alter(self, given: Input) -> None:
        table, row, column, value, _, _, _ = given
        names = {"table": sql.Identifier(table), "column": sql.Identifier(column), "row": sql.SQL(row)}
        statement = sql.SQL("UPDATE {table} SET {column} = {value} WHERE {row}")
        try:
            self._connection.execute(statement.format(value=sql.Literal(value), **names))
        except (psycopg.Error, UnicodeError) as error:
            raise Refused from error

    def _run(self, statements: str) -> None:
        self._connection.execute(sql.SQL(statements))


_FOREIGN_TABLE = """
CREATE TABLE foreign_games (game_id text PRIMARY KEY, current_container_id text, engine_endpoint text, status text,
    probe jsonb, silenced_until timestamptz, silenced_why text);
INSERT INTO foreign_games SELECT game_id, current_container_id, engine_endpoint, status, '{}'::jsonb, NULL, ''
    FROM runtime_records
"""

_SQLITE, _POSTGRES = SqliteRows(), PostgresRows()

TARGETS = (
    Target(
        "altered rows, SQLite",
        _inputs(_cell, foreign=False),
        _SQLITE.feed,
        (Refused,),
        share=1.3,
        around=_SQLITE.entered,
        seconds=0.5,
    ),
    Target(
        "altered rows, PostgreSQL",
        _inputs(_text, foreign=True),
        _POSTGRES.feed,
        (Refused,),
        share=0.1,
        around=_POSTGRES.entered,
        seconds=2.0,
    ),
)
