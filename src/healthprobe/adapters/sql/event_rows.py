"""The columns in which a table stores a health event."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Row, Table, Text, cast

from healthprobe.domain.event import HealthEvent, altered_event

_NAMES = ("game_id", "sequence", "container_id", "event_type", "occurred_at", "details")


def event_columns(table: Table) -> Sequence[ColumnElement[Any]]:
    """Returns the columns of an event in `table`, in the order in which `event_from_row` reads them.

    The details are selected as text: what is no JSON is one altered event, and no error of the database.
    """
    plain = [table.columns[name] for name in _NAMES if name != "details"]
    return [*plain, cast(table.columns["details"], Text).label("details")]


def event_from_row(row: Row[*tuple[Any, ...]], place: str) -> HealthEvent:
    """Returns the event in the first columns of `row`: an AlteredEvent, which names its `place`, if it was altered."""
    document = dict(zip(_NAMES, row, strict=False))
    try:
        return HealthEvent.from_document({**document, "details": msgspec.json.decode(document["details"])})
    except (ValueError, TypeError, RecursionError) as error:
        return altered_event(document, place, error)
