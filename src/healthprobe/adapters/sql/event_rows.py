"""The columns in which a table stores a health event."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, Row, Table

from healthprobe.domain.event import HealthEvent
from healthprobe.ports import LogError

_NAMES = ("game_id", "sequence", "container_id", "event_type", "occurred_at", "details")


def event_columns(table: Table) -> Sequence[Column[Any]]:
    """Returns the columns of an event in `table`, in the order in which `event_from_row` reads them."""
    return [table.columns[name] for name in _NAMES]


def event_from_row(row: Row[*tuple[Any, ...]]) -> HealthEvent:
    """Returns the event in the first columns of `row`. Raises LogError where another program altered it."""
    document = dict(zip(_NAMES, row, strict=False))
    try:
        return HealthEvent.from_document(document)
    except ValueError as error:
        event_id = f"{document['game_id']}:{document['sequence']}"
        raise LogError(f"the event {event_id} in the log was altered and cannot be read", permanent=True) from error
