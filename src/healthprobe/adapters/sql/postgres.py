"""What is particular to PostgreSQL: its URL, timeouts and write lock."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, create_engine, event, inspect
from sqlalchemy.pool import QueuePool

from healthprobe.adapters.sql.backend import LOCK_TIMEOUT, READ_TIMEOUT, WRITES
from healthprobe.adapters.sql.postgres_url import parse_postgres_url
from healthprobe.adapters.sql.raw_values import keep_raw_instants
from healthprobe.adapters.sql.schema import metadata, schema_versions
from healthprobe.ports import ConfigurationError

_CONNECTION = {
    "application_name": "healthprobe",
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
    "prepare_threshold": None,
}
"""Defaults of the URL's parameters: a connection to a server that vanished ends within seconds, and no statements are
prepared, which a pooler may not know."""

_ALWAYS = {"client_encoding": "utf8"}
"""Not even the URL changes this: in SQL_ASCII the driver gives bytes for text, in others it cannot send all text."""

_PRIMARY = {"target_session_attrs": "read-write"}

_RESPONSE_TIMEOUT = READ_TIMEOUT + 2.0
"""Seconds to wait for a response: a paused server does not keep its own timeouts."""

_BEGIN_READING = f"""
SET TRANSACTION READ ONLY;
SET LOCAL statement_timeout = {READ_TIMEOUT * 1000:.0f};
SET LOCAL datestyle = ISO
"""

_WRITE_LOCK = 0x6865616C7468
"""The key of the advisory lock that writers hold until they commit: "health"."""

_BEGIN_WRITING = f"""
SET LOCAL lock_timeout = {LOCK_TIMEOUT * 1000:.0f};
SET LOCAL statement_timeout = {READ_TIMEOUT * 1000:.0f};
SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off';
SELECT pg_advisory_xact_lock({_WRITE_LOCK})
"""
"""Writers take turns, so that positions in the log become visible in order. A commit is on the disk even if the server
is configured to acknowledge earlier; a setting that waits for standbys is left as it is."""


class PostgresServer:
    """One database on a PostgreSQL server. See `Backend`. Raises ConfigurationError for an invalid URL."""

    def __init__(self, url: str) -> None:
        self._url = parse_postgres_url(url)
        self.name = self._url.name
        self.identity = f"postgresql {sorted(self._url.keywords.items())}"

    def engine(self) -> Engine:
        """Returns an engine with two connections, to read and to write. A commit returns when it is on the disk.

        Of several servers it takes the one that can be written to, for reading as well: a standby lags behind.
        """
        return self._engine(2, _PRIMARY if self._url.has_several_hosts else {})

    def read_only_engine(self) -> Engine:
        """Returns an engine with one connection whose transactions are all read-only; any server will do."""
        return self._engine(1, {})

    def check_encoding(self, connection: Connection) -> None:
        """Raises ConfigurationError for another encoding than UTF8: a game's id may have any character."""
        encoding = connection.exec_driver_sql("SHOW server_encoding").scalar_one()
        if encoding != "UTF8":
            raise ConfigurationError(
                f"{self.name} has the encoding {encoding}, which does not hold every character: create one with "
                "CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0, or read games from here with --records-query"
            )

    def check_usable(self, *, create: bool) -> None:
        """Nothing can be checked before the connection."""

    def check_exists(self) -> None:
        """Nothing can be checked before the connection."""

    def after_creation(self, engine: Engine) -> None:
        """Nothing remains to be done."""

    def discard_creation(self) -> None:
        """Nothing remains of a transaction that failed."""

    def foreign_schema(self, connection: Connection) -> str | None:
        """Another program's table may have the name of one of ours. Tables of other names do not matter."""
        taken = sorted(set(inspect(connection).get_table_names()) & set(metadata.tables) - {schema_versions.name})
        if not taken:
            return None
        return (
            f"{self.name} has a table {taken[0]} that is not healthprobe's: read yours with --records-query, and give "
            "healthprobe a schema of its own with ?options=-csearch_path%3DSCHEMA"
        )

    def is_in_place(self) -> bool:
        """A server keeps what it has committed."""
        return True

    def _engine(self, connections: int, attributes: Mapping[str, str]) -> Engine:
        try:
            engine = create_engine(
                "postgresql+psycopg://",
                poolclass=QueuePool,
                pool_size=connections,
                max_overflow=0,
                isolation_level="READ COMMITTED",
                connect_args={**_CONNECTION, **attributes, **self._url.keywords, **_ALWAYS},
                json_serializer=lambda value: msgspec.json.encode(value).decode(),
            )
        except ImportError as error:
            raise ConfigurationError(
                f"{self.name} needs a driver that is not installed: pip install 'healthprobe[postgres]'"
            ) from error
        event.listen(engine, "do_connect", _connect)
        event.listen(engine, "begin", _begin)
        event.listen(engine, "handle_error", _drop_connection_to_standby)
        return engine


@cache
def _connection_class() -> Any:
    """Returns a class of connections that close when a response is overdue. Imports the driver at its first call."""
    from psycopg import Connection as DriverConnection  # noqa: PLC0415

    class ClosingConnection(DriverConnection[Any]):
        def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
            deadline = time.monotonic() + _RESPONSE_TIMEOUT
            try:
                return super().wait(gen, interval, _RESPONSE_TIMEOUT if timeout is None else timeout)
            except Exception:
                if time.monotonic() >= deadline:
                    self.close()
                raise

    return ClosingConnection


def _connect(_dialect: object, _record: object, arguments: Sequence[Any], named: Mapping[str, Any]) -> Any:
    connection = _connection_class().connect(*arguments, **named)
    keep_raw_instants(connection)
    return connection


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get(WRITES)
    begin = _BEGIN_WRITING if writes else _BEGIN_READING
    connection.exec_driver_sql(begin, execution_options={"no_parameters": True})


def _drop_connection_to_standby(context: Any) -> None:
    """A primary that became a standby keeps its connections: the next transaction must connect to the new primary."""
    writes = context.connection is not None and context.connection.get_execution_options().get(WRITES)
    if writes and getattr(context.original_exception, "sqlstate", None) == "25006":
        context.is_disconnect = True
