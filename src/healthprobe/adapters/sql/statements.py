"""Statements for which SQLAlchemy has a construct in each dialect."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, Table

CHUNK = 1000
"""The most parameters in one statement: databases limit their number."""

Item = TypeVar("Item")
Row = dict[str, Any]


def chunks(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    """Yields `items` in slices of at most CHUNK."""
    for start in range(0, len(items), CHUNK):
        yield items[start : start + CHUNK]


def upsert(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Inserts `rows`, or replaces the rows with the same primary key. Of two with one key the later one remains."""
    connection.execute(_upsert(connection.dialect.name, table), rows)


def upsert_where(connection: Connection, table: Table, row: Row, where: Callable[[Any], ColumnElement[bool]]) -> None:
    """Inserts `row`, or replaces the row with the same primary key if `where`, of the new row's columns, is true."""
    connection.execute(_upsert(connection.dialect.name, table, where), row)


@cache
def _upsert(dialect: str, table: Table, where: Callable[[Any], ColumnElement[bool]] | None = None) -> Any:
    statement = _dialect(dialect).insert(table)
    replaced = {column.name: statement.excluded[column.name] for column in table.columns if not column.primary_key}
    return statement.on_conflict_do_update(
        index_elements=list(table.primary_key),
        set_=replaced,
        where=None if where is None else where(statement.excluded),
    )


def _dialect(name: str) -> Any:
    """Returns SQLAlchemy's module for the dialect. Only that one is imported: the other costs time and memory."""
    if name == "postgresql":
        from sqlalchemy.dialects import postgresql as dialect  # noqa: PLC0415
    else:
        from sqlalchemy.dialects import sqlite as dialect  # type: ignore[no-redef]  # noqa: PLC0415
    return dialect
