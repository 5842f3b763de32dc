"""The columns in which a table stores a health event."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Row, Table, Text, cast

from healthprobe.domain.event import HealthEvent, altered_event, format_instant

_NAMES = ("game_id", "sequence", "container_id", "event_type", "occurred_at", "details", "labels")
_JSON = ("details", "labels")


def event_columns(table: Table) -> Sequence[ColumnElement[Any]]:
    """Returns the columns of an event in `table`, in the order in which `event_from_row` reads them.

    Details and labels are selected as text: what is no JSON is one altered event, and no error of the database.
    """
    plain = [table.columns[name] for name in _NAMES if name not in _JSON]
    return [*plain, *(cast(table.columns[name], Text).label(name) for name in _JSON)]


def event_row(event: HealthEvent) -> dict[str, Any]:
    """Returns what these columns hold of `event`."""
    return {
        "game_id": event.game_id,
        "sequence": event.sequence,
        "container_id": event.container_id,
        "event_type": event.event_type.value,
        "occurred_at": format_instant(event.occurred_at),
        "details": event.details.as_document(),
        "labels": dict(event.labels) or None,
    }


def event_from_row(row: Row[*tuple[Any, ...]], place: str) -> HealthEvent:
    """Returns the event in the first columns of `row`: an AlteredEvent, which names its `place`, if it was altered."""
    document = dict(zip(_NAMES, row, strict=False))
    try:
        document["details"] = msgspec.json.decode(document["details"])
        if document["labels"] is not None:
            document["labels"] = msgspec.json.decode(document["labels"])
        return HealthEvent.from_document(document)
    except (ValueError, TypeError, RecursionError) as error:
        return altered_event(document, place, error)
