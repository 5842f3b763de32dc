"""Values that a driver cannot turn into Python's: they are read as the text, or the bytes, that they are."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, event
from sqlalchemy.exc import StatementError

_INSTANTS = ("date", "timestamp", "timestamptz")
_ANY_OTHER_TYPE = 0
_NO_TEXT = ("22021", "22P05")
"""SQLSTATE: text that its encoding does not allow, or that UTF-8 has no characters for."""


def text_or_bytes(value: bytes) -> str | bytes:
    """Returns the text, or the bytes themselves if they are not UTF-8."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value


def keep_raw_instants(driver: Any) -> None:
    """Lets a connection of psycopg give an instant that Python's calendar lacks, such as infinity, as its text."""
    for name in _INSTANTS:
        _keep_raw(driver, driver.adapters.types[name].oid)


def is_about_a_value(error: Exception) -> bool:
    """Returns whether a driver, or the server for it, failed at a value of a row: `raw_values` may read that."""
    cause: Any = error.orig if isinstance(error, StatementError) else error
    if isinstance(cause, sqlite3.OperationalError):
        return "Could not decode" in str(cause)
    if hasattr(cause, "sqlstate"):
        return cause.sqlstate in _NO_TEXT or (cause.sqlstate is None and type(cause).__name__ == "DataError")
    return isinstance(cause, UnicodeDecodeError | NotImplementedError | OverflowError)


@contextmanager
def raw_values(connection: Connection) -> Iterator[None]:
    """Reads raw, within the block, each value at which the driver of `connection` fails: one value hides no row."""
    driver: Any = connection.connection.driver_connection
    if isinstance(driver, sqlite3.Connection):
        text_factory = driver.text_factory
        driver.text_factory = text_or_bytes
        try:
            yield
        finally:
            driver.text_factory = text_factory
        return
    _convert_no_text(connection)
    types = {_ANY_OTHER_TYPE}.union(*((each.oid, each.array_oid) for each in driver.adapters.types))
    replaced = {oid: loader for oid in types if (loader := _keep_raw(driver, oid)) is not None}
    try:
        yield
    finally:
        for oid, loader in replaced.items():
            driver.adapters.register_loader(oid, loader)


def _convert_no_text(connection: Connection) -> None:
    """Lets PostgreSQL send text as it is stored, for the rest of the transaction; psycopg decodes it.

    SQL_ASCII is no encoding, and statements may have any character: there it takes effect after the first statement.
    """
    encoding = connection.exec_driver_sql("SHOW server_encoding").scalar_one()
    keep_encoding = f"SET LOCAL client_encoding = '{encoding}'"
    if encoding != "SQL_ASCII":
        connection.exec_driver_sql(keep_encoding)
        return

    def after_statement(connection: Connection, *_: object) -> None:
        driver: Any = connection.connection.driver_connection
        driver.execute(keep_encoding)

    event.listen(connection, "after_cursor_execute", after_statement, once=True)


def _keep_raw(driver: Any, oid: int) -> Any:
    """Lets psycopg give values of a type raw if its own loader fails. Returns that loader; None if there is none."""
    from psycopg.adapt import Loader  # noqa: PLC0415 -- an extra that is installed if there is a connection
    from psycopg.pq import Format  # noqa: PLC0415

    usual = driver.adapters.get_loader(oid, Format.TEXT)
    if usual is None:
        return None

    class RawLoader(Loader):
        def __init__(self, oid: int, connection: Any = None) -> None:
            super().__init__(oid, connection)
            self._usual = usual(oid, connection)

        def load(self, data: Any) -> Any:
            try:
                return self._usual.load(data)
            except Exception:  # noqa: BLE001 -- each type has errors of its own
                return text_or_bytes(bytes(data))

    driver.adapters.register_loader(oid, RawLoader)
    return usual
