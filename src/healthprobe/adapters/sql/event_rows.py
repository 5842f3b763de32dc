"""Event rows: the columns in which a table keeps a health event, and the way back from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, Row, Table

from healthprobe.domain.event import HealthEvent, details_from_document, parse_instant
from healthprobe.ports import LogError

_NAMES = ("game_id", "sequence", "container_id", "event_type", "occurred_at", "details")


def event_columns(table: Table) -> Sequence[Column[Any]]:
    """The columns of an event in `table`, in the order in which `event_of` reads them."""
    return [table.columns[name] for name in _NAMES]


def event_of(row: Row[*tuple[Any, ...]]) -> HealthEvent:
    """The event that the first columns of `row` tell. Raises LogError where somebody altered it."""
    game_id, sequence, container_id, event_type, occurred_at, document = row[: len(_NAMES)]
    try:
        _require_types(sequence, game_id, container_id)
        details = details_from_document(event_type, document)
        return HealthEvent(sequence, game_id, container_id, parse_instant(occurred_at), details)
    except (ValueError, TypeError, KeyError) as error:
        event_id = f"{game_id}:{sequence}"
        raise LogError(f"the event {event_id} in the log was altered and cannot be read", permanent=True) from error


def _require_types(sequence: object, game_id: object, container_id: object) -> None:
    """Raises TypeError: SQLite holds no column to its type, and somebody else's edit may have put anything there."""
    if not (isinstance(sequence, int) and isinstance(game_id, str) and isinstance(container_id, str)):
        raise TypeError("a column of an event has another type")
