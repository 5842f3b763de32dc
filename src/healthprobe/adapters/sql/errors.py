"""Errors: what SQLAlchemy and its drivers raise, told in one line in the words of the ports."""

from __future__ import annotations

from typing import TypeVar

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from healthprobe._util.text import shorten
from healthprobe.adapters.sql.place import Judgement, Place
from healthprobe.ports import ConfigurationError, LogError, StoreError

Raised = TypeVar("Raised", StoreError, LogError)


def plain_error(error: Exception, kind: type[Raised], place: Place, *, reading: bool = False) -> Raised:
    """`error`, raised by a transaction on the database at `place`, as a StoreError or a LogError.

    Where the transaction was `reading`, only a query that is not ours can have tried to write.
    """
    if isinstance(error, UnicodeEncodeError):
        return kind(
            f"{place.name} takes no text with lone surrogates, as in {shorten(error.object, 80)!r}", permanent=True
        )
    if isinstance(error, ValueError):
        return kind(f"{place.name} holds what healthprobe did not write: {error}", permanent=True)
    judged = _judged(error, place)
    if reading and judged.read_only:
        return kind(f"{place.name}: the query writes: write a SELECT that changes nothing", permanent=True)
    return kind(f"{place.name}: {judged.advice}", permanent=judged.permanent)


def at_opening(error: SQLAlchemyError, place: Place) -> ConfigurationError | LogError:
    """`error`, raised as the database at `place` was opened: what must be changed, or what may pass by itself."""
    judged = _judged(error, place)
    message = f"{place.name}: {judged.advice}"
    return LogError(message) if judged.passes else ConfigurationError(message)


def _judged(error: Exception, place: Place) -> Judgement:
    cause = error.orig if isinstance(error, DBAPIError) and isinstance(error.orig, Exception) else error
    return place.judge(cause) or Judgement(" ".join(str(cause).split()))
