"""What the errors of SQLAlchemy, sqlite3 and psycopg mean: what to change, and whether a retry can help."""

from __future__ import annotations

import re
import sqlite3
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy.exc import SQLAlchemyError, StatementError

from healthprobe._util.text import shorten
from healthprobe.adapters.sql.backend import READ_TIMEOUT
from healthprobe.ports import ConfigurationError, ContentError, LogError, StoreError

PortError = TypeVar("PortError", StoreError, LogError)


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What an error of a driver means. `advice` is one line that says what to change.

    `permanent` means that a retry of the transaction cannot help, `passes` that the cause may end by itself, so that a
    program that starts should wait for it. `read_only` means that the database refuses to write, `is_content` that it
    can never hold one of the values.
    """

    advice: str
    permanent: bool = False
    passes: bool = True
    read_only: bool = False
    is_content: bool = False


def transaction_error(
    error: Exception, kind: type[PortError], name: str, *, reading: bool = False
) -> StoreError | LogError:
    """Returns the error to raise for `error`, which a transaction on the database `name` raised.

    A log's is a ContentError if the database can never hold one of the values. If the transaction was `reading`, only a
    user's query can have tried to write.
    """
    error = _cause(error)
    if isinstance(error, UnicodeEncodeError):
        return _content_error(f"{name} takes no {_unencodable(error)}", kind)
    if isinstance(error, OverflowError):
        return _content_error(f"{name} cannot hold so great a number: {error}", kind)
    if isinstance(error, ValueError):
        return kind(f"{name} holds what healthprobe did not write: {error}", permanent=True)
    diagnosis = diagnose(error)
    if reading and diagnosis.read_only:
        return kind(f"{name}: the query writes: write a SELECT that changes nothing", permanent=True)
    if diagnosis.is_content:
        return _content_error(f"{name}: {diagnosis.advice}", kind)
    return kind(f"{name}: {diagnosis.advice}", permanent=diagnosis.permanent)


def _content_error(message: str, kind: type[PortError]) -> StoreError | LogError:
    return ContentError(message) if kind is LogError else kind(message, permanent=True)


def _unencodable(error: UnicodeEncodeError) -> str:
    """Returns which character of which text cannot be encoded."""
    character = error.object[error.start]
    what = "text with lone surrogates" if "\ud800" <= character <= "\udfff" else f"character {character!r}"
    return f"{what}, as in {shorten(error.object, 80)!r}"


def opening_error(error: SQLAlchemyError, name: str) -> ConfigurationError | LogError:
    """Returns the error to raise for `error`, raised while the database `name` was opened."""
    diagnosis = diagnose(error)
    message = f"{name}: {diagnosis.advice}"
    return LogError(message) if diagnosis.passes else ConfigurationError(message)


def diagnose(error: Exception) -> Diagnosis:
    """Returns what an error of SQLAlchemy or of a driver means."""
    cause = _cause(error)
    if isinstance(cause, sqlite3.Error):
        return _diagnose_sqlite(cause)
    if hasattr(cause, "sqlstate"):
        return _diagnose_postgres(cause)
    return Diagnosis(_one_line(cause))


def is_damage(error: BaseException | None) -> bool:
    """Returns whether a transaction failed at a damaged page of an SQLite file: rows in other pages can be read."""
    cause = _cause(error) if isinstance(error, Exception) else None
    return isinstance(cause, sqlite3.Error) and (getattr(cause, "sqlite_errorcode", 0) & 0xFF) == sqlite3.SQLITE_CORRUPT


def _cause(error: Exception) -> Exception:
    """Returns what SQLAlchemy has wrapped, with the text of the statement and its parameters."""
    return error.orig if isinstance(error, StatementError) and isinstance(error.orig, Exception) else error


_SQLITE_ADVICE = {
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
_SQLITE_PERMANENT = {
    "SQLITE_CORRUPT",
    "SQLITE_NOTADB",
    "SQLITE_TOOBIG",
    "SQLITE_MISMATCH",
    "SQLITE_CONSTRAINT",
    "SQLITE_ERROR",
}
_SQLITE_PASSING = {"SQLITE_BUSY", "SQLITE_LOCKED"}


def _diagnose_sqlite(error: sqlite3.Error) -> Diagnosis:
    code = "_".join((getattr(error, "sqlite_errorname", None) or "").split("_")[:2])
    return Diagnosis(
        _SQLITE_ADVICE.get(code) or _one_line(error),
        permanent=code in _SQLITE_PERMANENT or isinstance(error, sqlite3.ProgrammingError),
        passes=code in _SQLITE_PASSING,
        read_only=code == "SQLITE_READONLY",
        is_content=code == "SQLITE_TOOBIG",
    )


_POSTGRES_PERMANENT = ("0A", "22", "23", "3F", "42")
"""Classes of SQLSTATE: feature not supported, data, constraint, schema, syntax or permission."""

_POSTGRES_CONTENT = ("22", "54000")
"""Data, such as a character that the encoding lacks, and a program limit, such as a key too long for its index."""

_PROTOCOL_VIOLATION = "08P01"
"""PgBouncer's code for all that it refuses."""

_POSTGRES_REFUSED = ("28000", "28P01", "3D000")
_POSTGRES_ADVICE = {
    "25006": "it is read-only, a standby perhaps: name the primary, or all servers, as in //HOST,HOST/DATABASE",
    "53100": "its disk is full: free some space",
    "53300": "it has no connection left for us: raise its limit on connections, or give healthprobe's role its share",
    "55P03": "it is locked by another program: let that one finish",
    "57014": f"it took longer than {READ_TIMEOUT:g}s: look what keeps the server busy",
    "3F000": "the schema of its search_path is not there: CREATE SCHEMA makes it",
    "42501": "our role may not do this: grant it what the message names",
}
_AWAY = "it is away: look whether the server runs and can be reached"

_LIBPQ_MISTAKES = ("invalid ", "no password supplied", "certificate", "does not support SSL")
_LIBPQ_PASSING = (
    "starting up",
    "shutting down",
    "not yet accepting",
    "recovery mode",
    "too many",
    "remaining connection",
    "no more connections",
    "try again later",
    "server down",
    "cannot connect to server",
    "does not allow connections",
)
"""Parts of libpq's messages, which have no code: the URL is wrong, or the server will accept connections later. From
"no more" on they are PgBouncer's."""

_NO_CONNECTION = ("too many", "remaining connection", "no more connections", "query_wait_timeout")

_READ_ONLY = "session is read-only"
_ATTEMPT = re.compile(r"- host: '([^']*)', port: (?:'([^']*)'|None), hostaddr: (?:'[^']*'|None): (.*?)(?= - host: '|$)")
_PREAMBLE = re.compile(r'^connection failed: (?:connection to server at "[^"]*", port [0-9]+ failed: )?')


def _diagnose_postgres(error: Any) -> Diagnosis:
    state = error.sqlstate or ""
    primary = getattr(getattr(error, "diag", None), "message_primary", None)  # without the text of the statement
    message = _one_line(primary or error)
    is_fatal = "FATAL:" in message and error.sqlstate is None
    if state in _POSTGRES_REFUSED or (is_fatal and not any(part in message for part in _LIBPQ_PASSING)):
        return Diagnosis(f"it refuses the connection: {_last_cause(message)}", passes=False)
    is_about_request = type(error).__name__ in ("DataError", "ProgrammingError", "NotSupportedError")
    if not state and (is_about_request or any(part in message for part in _LIBPQ_MISTAKES)):
        is_content = type(error).__name__ == "DataError"  # a NUL character
        return Diagnosis(_last_cause(message), permanent=True, passes=False, is_content=is_content)
    if not state and _READ_ONLY in message:
        return Diagnosis(f"none of its servers takes writes: promote one, or name the primary ({_last_cause(message)})")
    if (not state or state == _PROTOCOL_VIOLATION) and any(part in message for part in _NO_CONNECTION):
        return Diagnosis(f"{_POSTGRES_ADVICE['53300']} ({_last_cause(message)})")
    if not state or state.startswith(("08", "57P")):
        return Diagnosis(f"{_AWAY} ({_last_cause(message)})")
    is_permanent = state.startswith(_POSTGRES_PERMANENT)
    return Diagnosis(
        f"{_POSTGRES_ADVICE[state]} ({message})" if state in _POSTGRES_ADVICE else message,
        permanent=is_permanent,
        passes=not is_permanent,
        read_only=state == "25006",
        is_content=state.startswith(_POSTGRES_CONTENT),
    )


def _last_cause(message: str) -> str:
    """Returns the last cause in a message of libpq, or the cause at each host if several were tried."""
    attempts = _ATTEMPT.findall(message)
    if len(attempts) > 1:
        return "; ".join(f"{host}{':' * bool(port)}{port}: {_shortened(text)}" for host, port, text in attempts)
    return _shortened(message)


def _shortened(message: str) -> str:
    cause = message.rpartition("FATAL:")[2].strip() or message
    return _PREAMBLE.sub("", cause).partition(" Is the server running")[0]


def _one_line(message: object) -> str:
    return " ".join(str(message).split())
