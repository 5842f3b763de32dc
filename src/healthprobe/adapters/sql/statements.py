"""Statements: what is written the same for each kind of database, though each has a dialect of its own for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, TypeVar

from sqlalchemy import Connection, Table

CHUNK = 1000
"""Parameters in one statement: databases limit their number."""

Item = TypeVar("Item")
Row = dict[str, Any]


def chunks(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    """`items` in portions of CHUNK at most."""
    for start in range(0, len(items), CHUNK):
        yield items[start : start + CHUNK]


def upsert(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Insert `rows`, or replace by primary key what stands there; of two with one key the later one."""
    connection.execute(_upsert(connection.dialect.name, table), rows)


def raise_to(connection: Connection, table: Table, column: str, row: Row) -> None:
    """Insert `row`, or replace by primary key a row whose `column` is less."""
    connection.execute(_upsert(connection.dialect.name, table, column), row)


@cache
def _upsert(dialect: str, table: Table, greatest: str | None = None) -> Any:
    statement = _dialect(dialect).insert(table)
    replaced = {column.name: statement.excluded[column.name] for column in table.columns if not column.primary_key}
    return statement.on_conflict_do_update(
        index_elements=list(table.primary_key),
        set_=replaced,
        where=None if greatest is None else statement.excluded[greatest] > table.columns[greatest],
    )


def _dialect(name: str) -> Any:
    """SQLAlchemy's module for it, imported where it is used: the other one costs time and memory."""
    if name == "postgresql":
        from sqlalchemy.dialects import postgresql as dialect  # noqa: PLC0415
    else:
        from sqlalchemy.dialects import sqlite as dialect  # type: ignore[no-redef]  # noqa: PLC0415
    return dialect
