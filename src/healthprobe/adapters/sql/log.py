"""The log: health events in a table, appended by compare-and-set under the write lock."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import Connection, Row, bindparam, func, insert, select

from healthprobe.adapters.sql.database import SqlDatabase
from healthprobe.adapters.sql.schema import health_events, relay_cursors
from healthprobe.adapters.sql.sqlite import upsert
from healthprobe.domain.event import HealthEvent, details_from_document, format_instant, parse_instant
from healthprobe.ports import LogEntry, LogError

_CHUNK = 1000
"""Parameters in one statement: databases limit their number."""

Item = TypeVar("Item")


class SqlLog:
    """Health events and relay cursors in a `SqlDatabase`. Every method raises LogError."""

    def __init__(self, database: SqlDatabase) -> None:
        self._database = database

    async def last_events(self, game_ids: Iterable[str]) -> Mapping[str, HealthEvent]:
        """The last event of each of these games; games without events are left out."""
        return await self._database.read(partial(_last_events, list(game_ids)), LogError)

    async def append(self, events: Sequence[HealthEvent]) -> Sequence[HealthEvent | None]:
        """Compare-and-set, in one transaction that is on the disk when this returns (see `ports.HealthEventLog`)."""
        if not events:
            return []
        return await self._database.write(partial(_append, events), LogError)

    async def read(self, after: int, limit: int) -> Sequence[LogEntry]:
        """At most `limit` entries whose cursor is greater than `after`, in the order in which they were appended."""
        return await self._database.read(partial(_read, after, limit), LogError)

    async def load_cursor(self, name: str) -> int:
        """The cursor saved under `name`, or 0."""
        return await self._database.read(partial(_load_cursor, name), LogError)

    async def save_cursor(self, name: str, cursor: int) -> None:
        """Remember `cursor` under `name`: it is on the disk when this returns."""
        row = {"name": name, "position": cursor}
        await self._database.write(lambda connection: connection.execute(_SAVE_CURSOR, row), LogError)


_table = health_events.c
_EVENTS = select(
    _table.game_id,
    _table.sequence,
    _table.container_id,
    _table.event_type,
    _table.occurred_at,
    _table.details,
    _table.position,
)
_READ = _EVENTS.where(_table.position > bindparam("after")).order_by(_table.position).limit(bindparam("limit"))
_EVENTS_AT = _EVENTS.where(
    _table.game_id.in_(bindparam("game_ids", expanding=True)),
    _table.sequence.in_(bindparam("sequences", expanding=True)),
)

_LOAD_CURSOR = select(relay_cursors.c.position).where(relay_cursors.c.name == bindparam("name"))
_SAVE_CURSOR = upsert(relay_cursors)

_last_sequences = (
    select(_table.game_id, func.max(_table.sequence).label("sequence"))
    .where(_table.game_id.in_(bindparam("game_ids", expanding=True)))
    .group_by(_table.game_id)
    .subquery()
)
_LAST_EVENTS = _EVENTS.join(
    _last_sequences,
    (_table.game_id == _last_sequences.c.game_id) & (_table.sequence == _last_sequences.c.sequence),
)

_last_sequence = select(func.coalesce(func.max(_table.sequence), 0)).where(_table.game_id == bindparam("game"))
_next_position = select(func.coalesce(func.max(_table.position), 0) + 1)
_APPEND = insert(health_events).from_select(
    ["game_id", "sequence", "id", "container_id", "event_type", "occurred_at", "details", "position"],
    select(
        bindparam("game", type_=_table.game_id.type),
        bindparam("number", type_=_table.sequence.type),
        bindparam("event_id", type_=_table.id.type),
        bindparam("container", type_=_table.container_id.type),
        bindparam("type", type_=_table.event_type.type),
        bindparam("instant", type_=_table.occurred_at.type),
        bindparam("document", type_=_table.details.type),
        _next_position.scalar_subquery(),
    ).where(_last_sequence.scalar_subquery() == bindparam("number") - 1),
)
"""Inserts one event if its sequence is its game's last + 1, and nothing otherwise."""


def _append(events: Sequence[HealthEvent], connection: Connection) -> Sequence[HealthEvent | None]:
    entered = 0
    for chunk in _chunks(events):
        rows = [_row_of(event) for event in chunk]
        entered += connection.execute(_APPEND, rows, execution_options={"preserve_rowcount": True}).rowcount
    if entered == len(events):
        return events
    return _standing(events, connection)


def _standing(events: Sequence[HealthEvent], connection: Connection) -> Sequence[HealthEvent | None]:
    """For each event itself where it stands, now or since an earlier try, else the last event of its game."""
    last_events = _last_events([event.game_id for event in events], connection)
    older = [event for event in events if event.sequence < getattr(last_events.get(event.game_id), "sequence", 0)]
    there = set(last_events.values())
    for chunk in _chunks(older):
        places = {
            "game_ids": [event.game_id for event in chunk],
            "sequences": list({event.sequence for event in chunk}),
        }
        there.update(_event_of(row) for row in connection.execute(_EVENTS_AT, places))
    return [event if event in there else last_events.get(event.game_id) for event in events]


def _last_events(game_ids: Sequence[str], connection: Connection) -> dict[str, HealthEvent]:
    events: dict[str, HealthEvent] = {}
    for chunk in _chunks(game_ids):
        for row in connection.execute(_LAST_EVENTS, {"game_ids": chunk}):
            event = _event_of(row)
            events[event.game_id] = event
    return events


def _read(after: int, limit: int, connection: Connection) -> list[LogEntry]:
    rows = connection.execute(_READ, {"after": after, "limit": limit})
    return [LogEntry(row.position, _event_of(row)) for row in rows]


def _load_cursor(name: str, connection: Connection) -> int:
    return connection.execute(_LOAD_CURSOR, {"name": name}).scalar() or 0


def _chunks(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    for start in range(0, len(items), _CHUNK):
        yield items[start : start + _CHUNK]


def _row_of(event: HealthEvent) -> dict[str, Any]:
    return {
        "game": event.game_id,
        "number": event.sequence,
        "event_id": event.id,
        "container": event.container_id,
        "type": event.event_type.value,
        "instant": format_instant(event.occurred_at),
        "document": event.details.as_document(),
    }


def _event_of(row: Row[*tuple[Any, ...]]) -> HealthEvent:
    game_id, sequence, container_id, event_type, occurred_at, document, _ = row
    try:
        details = details_from_document(event_type, document)
        return HealthEvent(sequence, game_id, container_id, parse_instant(occurred_at), details)
    except (ValueError, TypeError, KeyError) as error:
        event_id = f"{game_id}:{sequence}"
        raise LogError(f"the event {event_id} in the log was altered and cannot be read", permanent=True) from error
