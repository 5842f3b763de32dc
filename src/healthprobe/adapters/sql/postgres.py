"""What PostgreSQL alone needs: an address, time limits, its write lock, and the meaning of its errors."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import msgspec
from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import QueuePool

from healthprobe.adapters.sql.place import LOCK_TIMEOUT, READ_TIMEOUT, WRITES, Judgement
from healthprobe.adapters.sql.schema import metadata, schema_versions
from healthprobe.domain.endpoint import masked
from healthprobe.ports import ConfigurationError

SCHEMES = ("postgresql", "postgres")

_CONNECTION = {
    "application_name": "healthprobe",
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
    "prepare_threshold": None,
}
"""What the URL does not set itself: a server that vanished without a word is given up within some seconds, and a pooler
between us and the server meets no prepared statement that it does not know."""

_LONGEST_ANSWER = READ_TIMEOUT + 2.0
"""How long we wait for an answer, in seconds: a server that is paused keeps no time limit of its own."""

_BEGIN_READING = f"SET TRANSACTION READ ONLY; SET LOCAL statement_timeout = {READ_TIMEOUT * 1000:.0f}"

_WRITE_LOCK = 0x6865616C7468
"""The key of the advisory lock that writers hold until they commit: "health"."""

_BEGIN_WRITING = f"""
SET LOCAL lock_timeout = {LOCK_TIMEOUT * 1000:.0f};
SET LOCAL statement_timeout = {READ_TIMEOUT * 1000:.0f};
SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off';
SELECT pg_advisory_xact_lock({_WRITE_LOCK})
"""
"""Writers take turns, so that places in the log become visible in their order. A commit is on the disk even where the
server was set to acknowledge earlier; a setting that waits for standbys as well is left as it is."""

_AWAY = "it is away: look whether the server runs and can be reached"
_USELESS = ("0A", "22", "23", "3F", "42")
"""Classes of errors that come again however often one tries: no such feature, data, constraint, syntax, permission."""

_REFUSED = ("28000", "28P01", "3D000")
_MISTAKEN = ("invalid ", "no password supplied", "certificate", "does not support SSL")
"""In libpq's own words, which have no code: what stands in the URL is wrong, and does not mend itself."""

_PASSING = ("starting up", "shutting down", "not yet accepting", "recovery mode", "too many", "remaining connection")
_ADVICE = {
    "25006": "it is read-only, a standby perhaps: name the primary, or add ?target_session_attrs=read-write",
    "53100": "its disk is full: free some space",
    "53300": "it has no connection left for us: raise max_connections, or give healthprobe's role its share",
    "55P03": "it is locked by another program: let that one finish",
    "57014": f"it took longer than {READ_TIMEOUT:g}s: look what keeps the server busy",
    "3F000": "the schema of its search_path is not there: CREATE SCHEMA makes it",
    "42501": "our role may not do this: grant it what the message names",
}


class PostgresServer:
    """One database on a PostgreSQL server, by its URL. Raises ConfigurationError for a URL that cannot be read."""

    def __init__(self, url: str) -> None:
        try:
            self._url = make_url(url).set(drivername="postgresql+psycopg")
        except (ArgumentError, ValueError) as error:
            hint = "write postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
            raise ConfigurationError(f"{masked(url)} is not a database: {hint}") from error
        shown = URL.create("postgresql", host=self._url.host, port=self._url.port, database=self._url.database)
        self.name = shown.render_as_string()
        self.identity = self._url.render_as_string(hide_password=False)

    def engine(self) -> Engine:
        """An engine with two connections, to read and to write. A commit returns when it is on the disk."""
        return self._engine(2)

    def reading_engine(self) -> Engine:
        """An engine with one connection whose transactions are all read-only."""
        return self._engine(1)

    def look(self, *, create: bool) -> None:
        """There is nothing to see before one connects."""

    def find(self) -> None:
        """There is nothing to see before one connects."""

    def settle(self, engine: Engine) -> None:
        """Nothing remains to be done."""

    def abandon(self) -> None:
        """A transaction that failed has left nothing behind."""

    def strangers(self, connection: Connection) -> str | None:
        """A table that bears one of our names and is not ours. Other tables are no hindrance."""
        taken = sorted(set(inspect(connection).get_table_names()) & set(metadata.tables) - {schema_versions.name})
        if not taken:
            return None
        return (
            f"{self.name} has a table {taken[0]} that is not healthprobe's: read yours with --records-query, and give "
            "healthprobe a schema of its own with ?options=-csearch_path%3DSCHEMA"
        )

    def is_in_place(self) -> bool:
        """A server finds what it has committed."""
        return True

    def judge(self, error: Exception) -> Judgement | None:
        """What an error of psycopg means; None for one that is not psycopg's."""
        if not hasattr(error, "sqlstate"):
            return None
        state = error.sqlstate or ""
        primary = getattr(getattr(error, "diag", None), "message_primary", None)  # without a picture of the statement
        told = " ".join((primary or str(error)).split())
        if state in _REFUSED or _is_refusal(error, told):
            return Judgement(f"it refuses the connection: {_last_words(told)}", passes=False)
        if not state and (not _is_of_the_connection(error) or any(words in told for words in _MISTAKEN)):
            return Judgement(told, permanent=True, passes=False)
        if not state or state.startswith(("08", "57P")):
            return Judgement(f"{_AWAY} ({_last_words(told)})")
        is_useless = state.startswith(_USELESS)
        return Judgement(
            f"{_ADVICE[state]} ({told})" if state in _ADVICE else told,
            permanent=is_useless,
            passes=not is_useless,
            read_only=state == "25006",
        )

    def _engine(self, connections: int) -> Engine:
        given = self._url.query
        try:
            engine = create_engine(
                self._url,
                poolclass=QueuePool,
                pool_size=connections,
                max_overflow=0,
                isolation_level="READ COMMITTED",
                connect_args={name: value for name, value in _CONNECTION.items() if name not in given},
                json_serializer=lambda value: msgspec.json.encode(value).decode(),
            )
        except ImportError as error:
            raise ConfigurationError(
                f"{self.name} needs a driver that is not installed: pip install 'healthprobe[postgres]'"
            ) from error
        event.listen(engine, "do_connect", _connect)
        event.listen(engine, "begin", _begin)
        event.listen(engine, "handle_error", _leave_a_server_that_changed)
        return engine


@cache
def _patient_connection() -> Any:
    """The driver's connection, closed as soon as an answer is overdue; made once the driver is known to be there."""
    from psycopg import Connection as DriverConnection  # noqa: PLC0415

    class PatientConnection(DriverConnection[Any]):
        def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
            deadline = time.monotonic() + _LONGEST_ANSWER
            try:
                return super().wait(gen, interval, _LONGEST_ANSWER if timeout is None else timeout)
            except Exception:
                if time.monotonic() >= deadline:
                    self.close()
                raise

    return PatientConnection


def _connect(_dialect: object, _record: object, arguments: Sequence[Any], named: Mapping[str, Any]) -> Any:
    return _patient_connection().connect(*arguments, **named)


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get(WRITES)
    begin = _BEGIN_WRITING if writes else _BEGIN_READING
    connection.exec_driver_sql(begin, execution_options={"no_parameters": True})


def _leave_a_server_that_changed(context: Any) -> None:
    """A primary that became a standby keeps its connections: the next transaction has to look for the new primary."""
    writes = context.connection is not None and context.connection.get_execution_options().get(WRITES)
    if writes and getattr(context.original_exception, "sqlstate", None) == "25006":
        context.is_disconnect = True


def _is_of_the_connection(error: Exception) -> bool:
    """What the driver says before the server is asked is about the connection, or about what we asked for."""
    return type(error).__name__ not in ("DataError", "ProgrammingError", "NotSupportedError")


def _is_refusal(error: Exception, told: str) -> bool:
    """Whether the server itself answered a new connection with a refusal that no waiting ends."""
    is_fatal = "FATAL:" in told and getattr(error, "sqlstate", None) is None
    return is_fatal and not any(words in told for words in _PASSING)


def _last_words(told: str) -> str:
    """The cause alone: libpq tells every address that it has tried before."""
    return told.rpartition("FATAL:")[2].strip() or told
