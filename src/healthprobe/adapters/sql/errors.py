"""Errors: what SQLAlchemy and its drivers raise, told in one line in the words of the ports."""

from __future__ import annotations

import sqlite3
from typing import TypeVar

from sqlalchemy.exc import DBAPIError

from healthprobe.ports import LogError, StoreError

Raised = TypeVar("Raised", StoreError, LogError)

_ADVICE = {
    "SQLITE_FULL": "its disk is full: free some space",
    "SQLITE_IOERR": "its disk refuses to read or write: look for a full, failing or unmounted disk",
    "SQLITE_BUSY": "it is locked by another program: let that one finish",
    "SQLITE_LOCKED": "it is locked by another program: let that one finish",
    "SQLITE_READONLY": "it cannot be written: change the permissions of the file and its folder",
    "SQLITE_PERM": "it cannot be opened: change the permissions of the file and its folder",
    "SQLITE_CANTOPEN": "it cannot be opened: look at its folder and the permissions there",
    "SQLITE_CORRUPT": "it is damaged: restore it from a backup, or move it away to begin afresh",
    "SQLITE_NOTADB": "it is not an SQLite database: choose another path",
}
_PERMANENT = {"SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_TOOBIG", "SQLITE_MISMATCH", "SQLITE_CONSTRAINT"}


def sqlite_advice(error: sqlite3.Error) -> tuple[str, bool]:
    """What is wrong and what to change, and whether trying again is useless."""
    code = "_".join((getattr(error, "sqlite_errorname", None) or "").split("_")[:2])
    return _ADVICE.get(code, str(error)), code in _PERMANENT


def plain_error(error: Exception, kind: type[Raised], name: str) -> Raised:
    """`error`, raised by a transaction on the database called `name`, as a StoreError or a LogError."""
    if isinstance(error, UnicodeEncodeError):
        return kind(f"{name} takes no text with lone surrogates, as in {error.object[:80]!r}", permanent=True)
    if isinstance(error, ValueError):
        return kind(f"{name} holds what healthprobe did not write: {error}", permanent=True)
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(cause, sqlite3.Error):
        advice, permanent = sqlite_advice(cause)
        return kind(f"{name}: {' '.join(advice.split())}", permanent=permanent)
    return kind(f"{name}: {' '.join(str(cause).split())}")
