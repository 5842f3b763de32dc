"""The log: health events in a table, appended by compare-and-set under the write lock."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import ARRAY, ColumnElement, Connection, String, bindparam, delete, func, insert, or_, select
from sqlalchemy import Row as RowOf
from sqlalchemy.exc import SQLAlchemyError

from healthprobe._util.text import shorten
from healthprobe.adapters.sql.database import Result, SqlDatabase, Work
from healthprobe.adapters.sql.dead_letters import SqlDeadLetters
from healthprobe.adapters.sql.documents import SqlDocuments
from healthprobe.adapters.sql.errors import is_damage
from healthprobe.adapters.sql.event_rows import event_columns, event_from_row, event_row
from healthprobe.adapters.sql.open_incidents import open_incidents
from healthprobe.adapters.sql.schema import MOST, health_events, log_identities, relay_cursors
from healthprobe.adapters.sql.statements import Row, chunks, upsert_where
from healthprobe.domain.event import AlteredEvent, EventType, HealthEvent, altered_event, format_instant
from healthprobe.ports import ContentError, LogEntry, LogError

_PRUNED_AT_ONCE = 5000
"""The most events removed in one transaction: appends wait for it."""


class SqlLog(SqlDeadLetters, SqlDocuments):
    """Health events, relay cursors, dead letters and documents in a `SqlDatabase`. Every method raises LogError."""

    def __init__(self, database: SqlDatabase) -> None:
        super().__init__(database)
        self._database = database

    async def last_events(self, game_ids: Iterable[str]) -> Mapping[str, HealthEvent]:
        """Returns the last event of each of these games; games without events are left out."""
        wanted = list(game_ids)
        return await self._read(partial(_last_events, wanted), partial(_last_events_beside_damage, wanted))

    async def open_incidents(self) -> Mapping[str, HealthEvent]:
        """Returns the last event of each game whose last event is a `probe_failed`, by game."""
        return await self._read(partial(open_incidents, _event_of), _open_incidents_beside_damage)

    async def append(self, events: Sequence[HealthEvent]) -> Sequence[HealthEvent | None]:
        """Appends by compare-and-set, in one transaction that is on the disk when this returns (see `ports`)."""
        if not events:
            return []
        return await self._database.write(partial(_append, events), LogError)

    async def read(self, after: int, limit: int) -> Sequence[LogEntry]:
        """Returns at most `limit` entries whose cursor is greater than `after`, in the order of appending."""
        return await self._read(partial(_read, after, limit), partial(_read_beside_damage, after, limit))

    async def end(self) -> int:
        """Returns the cursor of the last entry, or 0."""
        return await self._database.read(_end, LogError)

    async def prune(self, before: datetime, through: int) -> int:
        """Removes events seen before `before` whose cursor is at most `through`, and never a game's last one.

        Appends get their turn between portions. Returns how many were removed.
        """
        bounds = {"before": format_instant(before), "through": through}
        pruned = 0
        while portion := await self._database.write(lambda connection: _prune(bounds, connection), LogError):
            pruned += portion
        return pruned

    async def load_cursor(self, name: str) -> int | None:
        """Returns the cursor saved under `name`, or None. Raises ContentError for one that was altered."""
        return await self._database.read(partial(_load_cursor, name), LogError)

    async def save_cursor(self, name: str, cursor: int) -> None:
        """Saves `cursor` under `name`, unless a greater one is saved. It is on the disk when this returns."""
        await self._database.write(partial(_save_cursor, {"name": name, "position": cursor}), LogError)

    async def all_cursors(self) -> Mapping[str, int]:
        """Returns all saved cursors by name; 0 for one that was altered, for its relay begins there."""
        return await self._database.read(_cursors, LogError)

    async def identity(self) -> str:
        """Returns the UUID of this log, which is as old as its tables. A copy of the database has the same.

        Raises ContentError for one that was altered.
        """
        return await self._database.read(_identity, LogError)

    async def forget_cursor(self, name: str) -> bool:
        """Removes the cursor saved under `name`; returns whether there was one."""
        row = {"forgotten": name}
        forgotten = await self._database.write(
            lambda connection: connection.execute(_FORGET_CURSOR, row).rowcount, LogError
        )
        return forgotten > 0

    async def _read(self, work: Work[Result], beside_damage: Work[Result]) -> Result:
        """Runs `work`, and where it comes upon a damaged page of the file `beside_damage`, which reads all others."""
        try:
            return await self._database.read(work, LogError)
        except LogError as error:
            if not is_damage(error.__cause__):
                raise
            return await self._database.read(beside_damage, LogError)


_table = health_events.c
_EVENTS = select(*event_columns(health_events), _table.position)
_READ = (
    _EVENTS.where(_table.position > bindparam("after"), _table.position <= MOST)
    .order_by(_table.position)
    .limit(bindparam("limit"))
)
_EVENTS_AT = _EVENTS.where(
    _table.game_id.in_(bindparam("game_ids", expanding=True)),
    _table.sequence.in_(bindparam("sequences", expanding=True)),
)

_POSITIONS = (
    select(_table.position)
    .where(_table.position > bindparam("after"), _table.position <= MOST)
    .order_by(_table.position)
    .limit(bindparam("limit"))
)
_EVENTS_IN_PLACES = _EVENTS.where(_table.position.in_(bindparam("positions", expanding=True)))
_GAMES = select(_table.game_id).distinct().order_by(_table.game_id)
"""Of these the columns are all in one index, which is read without the table."""

_LOAD_CURSOR = select(relay_cursors.c.position).where(relay_cursors.c.name == bindparam("name"))
_CURSORS = select(relay_cursors.c.name, relay_cursors.c.position).order_by(relay_cursors.c.name)
_FORGET_CURSOR = delete(relay_cursors).where(relay_cursors.c.name == bindparam("forgotten"))
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_IDENTITY = select(log_identities.c.identity).order_by(log_identities.c.identity)
_END = select(func.coalesce(func.max(_table.position), 0)).where(_table.position <= MOST)

_INSERT = insert(health_events)
_asked_for = func.unnest(bindparam("game_ids", type_=ARRAY(String)))
_wanted = _asked_for.table_valued("game_id", name="wanted").render_derived()
_of_wanted = health_events.alias("of_wanted")
_newest = select(func.max(_of_wanted.c.sequence)).where(_of_wanted.c.game_id == _wanted.c.game_id).scalar_subquery()
_sequences_of_games = (
    select(_table.game_id, func.max(_table.sequence).label("sequence"))
    .where(_table.game_id.in_(bindparam("game_ids", expanding=True)), func.typeof(_table.sequence) == "integer")
    .group_by(_table.game_id)
)
_grouped = _sequences_of_games.subquery()

_LAST_SEQUENCES: Mapping[str, Any] = {
    "sqlite": _sequences_of_games,
    "postgresql": select(_wanted.c.game_id, func.coalesce(_newest, 0).label("sequence")),
}
_LAST_EVENTS: Mapping[str, Any] = {
    "sqlite": _EVENTS.join(_grouped, (_table.game_id == _grouped.c.game_id) & (_table.sequence == _grouped.c.sequence)),
    "postgresql": _EVENTS.join_from(
        _wanted, health_events, (_table.game_id == _wanted.c.game_id) & (_table.sequence == _newest)
    ),
}
"""PostgreSQL would read the whole history of the games; queried game by game it reads only the end of each."""

_later = health_events.alias("later")
_PRUNABLE = (
    select(_table.position)
    .where(
        _table.position <= bindparam("through"),
        _table.occurred_at < bindparam("before"),
        select(_later.c.sequence)
        .where(_later.c.game_id == _table.game_id, _later.c.sequence > _table.sequence)
        .exists(),
    )
    .order_by(_table.position)
    .limit(_PRUNED_AT_ONCE)
)
_PRUNE = delete(health_events).where(_table.position.in_(bindparam("positions", expanding=True)))


def _append(events: Sequence[HealthEvent], connection: Connection) -> Sequence[HealthEvent | None]:
    """Runs under the write lock: no other writer can come between the reads and the writes."""
    last_sequences = _last_sequences_of({event.game_id for event in events}, connection)
    position = _end(connection)
    rows: list[Row] = []
    for event in events:
        if event.sequence == last_sequences.get(event.game_id, 0) + 1:
            last_sequences[event.game_id] = event.sequence
            rows.append(_row_of(event, position + len(rows) + 1))
    for chunk in chunks(rows):
        connection.execute(_INSERT, chunk)
    return events if len(rows) == len(events) else _standing(events, connection)


def _last_sequences_of(game_ids: Collection[str], connection: Connection) -> dict[str, int]:
    found: dict[str, int] = {}
    for chunk in chunks(list(game_ids)):
        rows = connection.execute(_LAST_SEQUENCES[connection.dialect.name], {"game_ids": chunk})
        found.update((row.game_id, row.sequence) for row in rows)
    return found


def _standing(events: Sequence[HealthEvent], connection: Connection) -> Sequence[HealthEvent | None]:
    """Returns each event itself if it is in the log, now or since an earlier try, else the last event of its game."""
    last_events = _last_events([event.game_id for event in events], connection)
    older = [event for event in events if event.sequence < getattr(last_events.get(event.game_id), "sequence", 0)]
    there = set(last_events.values())
    for chunk in chunks(older):
        places = {
            "game_ids": [event.game_id for event in chunk],
            "sequences": list({event.sequence for event in chunk}),
        }
        there.update(_event_of(row) for row in connection.execute(_EVENTS_AT, places))
    return [event if event in there else last_events.get(event.game_id) for event in events]


def _last_events(game_ids: Sequence[str], connection: Connection) -> dict[str, HealthEvent]:
    events: dict[str, HealthEvent] = {}
    for chunk in chunks(game_ids):
        for row in connection.execute(_LAST_EVENTS[connection.dialect.name], {"game_ids": chunk}):
            events[row.game_id] = _event_of(row)
    return events


def _read(after: int, limit: int, connection: Connection) -> list[LogEntry]:
    rows = connection.execute(_READ, {"after": after, "limit": limit})
    return [LogEntry(row.position, _event_of(row)) for row in rows]


def _read_beside_damage(after: int, limit: int, connection: Connection) -> list[LogEntry]:
    """Finds the positions in their index, and leaves an AlteredEvent in the place of each row that cannot be read."""
    positions = connection.execute(_POSITIONS, {"after": after, "limit": limit}).scalars().all()
    entries = {
        row.position: LogEntry(row.position, _event_of(row))
        for chunk in chunks(positions)
        for row in _undamaged(_EVENTS_IN_PLACES, "positions", chunk, connection)
    }
    return [entries.get(position) or LogEntry(position, _damaged({}, f"event at {position}")) for position in positions]


def _last_events_beside_damage(game_ids: Sequence[str], connection: Connection) -> dict[str, HealthEvent]:
    """The same by the index of games and sequences."""
    events: dict[str, HealthEvent] = {}
    for chunk in chunks(game_ids):
        for row in _undamaged(_LAST_EVENTS["sqlite"], "game_ids", chunk, connection):
            events[row.game_id] = _event_of(row)
    for game_id, sequence in _last_sequences_of(set(game_ids) - set(events), connection).items():
        document = {"game_id": game_id, "sequence": sequence}
        events[game_id] = _damaged(document, f"event {shorten(game_id, 80)}:{sequence}")
    return events


def _open_incidents_beside_damage(connection: Connection) -> Mapping[str, HealthEvent]:
    game_ids = [game_id for game_id in connection.execute(_GAMES).scalars() if isinstance(game_id, str)]
    events = _last_events_beside_damage(game_ids, connection)
    return {game_id: event for game_id, event in events.items() if event.event_type is EventType.PROBE_FAILED}


def _undamaged(
    query: Any, name: str, keys: Sequence[object], connection: Connection
) -> Iterator[RowOf[*tuple[Any, ...]]]:
    """Yields the rows of `keys` that can be read: halves the keys until a damaged page hides the rows of one alone."""
    try:
        rows = connection.execute(query, {name: keys}).all()
    except SQLAlchemyError as error:
        if not is_damage(error):
            raise
        connection.exec_driver_sql("ROLLBACK")  # SQLite refuses to commit what has come upon damage
        connection.exec_driver_sql("BEGIN")
        half = len(keys) // 2
        for part in (keys[:half], keys[half:]) if half else ():
            yield from _undamaged(query, name, part, connection)
    else:
        yield from rows


def _damaged(document: Mapping[str, Any], what: str) -> AlteredEvent:
    problem = f"the {what} in the log cannot be read: its page of the file is damaged; restore it from a backup"
    return replace(altered_event(document, "", problem), problem=problem)


def _event_of(row: RowOf[*tuple[Any, ...]]) -> HealthEvent:
    return event_from_row(row, f"at {row.position} in the log")


def _end(connection: Connection) -> int:
    return int(connection.execute(_END).scalar_one())  # SQLite holds fractions, where somebody writes one


def _load_cursor(name: str, connection: Connection) -> int | None:
    cursor = connection.execute(_LOAD_CURSOR, {"name": name}).scalar()
    if cursor is None or _is_cursor(cursor):
        return cursor
    raise ContentError(f"the cursor of {name} in the log was altered: {shorten(repr(cursor), 80)}")


def _identity(connection: Connection) -> str:
    identity = connection.execute(_IDENTITY).scalar()
    if isinstance(identity, str) and _UUID.fullmatch(identity):
        return identity
    raise ContentError(f"the identity of the log in log_identity was altered: {shorten(repr(identity), 80)}")


def _save_cursor(row: Row, connection: Connection) -> None:
    upsert_where(connection, relay_cursors, row, _follows)


def _follows(saved: Any) -> ColumnElement[bool]:
    """Returns whether `saved` replaces the cursor that stands there: it is greater, or that one was altered."""
    stands = relay_cursors.c.position
    return or_(saved.position > stands, stands < 0, stands > MOST)


def _cursors(connection: Connection) -> dict[str, int]:
    cursors = {row.name: row.position for row in connection.execute(_CURSORS) if isinstance(row.name, str)}
    return {name: cursor if _is_cursor(cursor) else 0 for name, cursor in cursors.items()}


def _is_cursor(value: object) -> bool:
    return type(value) is int and 0 <= value <= MOST


def _prune(bounds: Mapping[str, object], connection: Connection) -> int:
    positions = connection.execute(_PRUNABLE, bounds).scalars().all()
    for chunk in chunks(positions):
        connection.execute(_PRUNE, {"positions": chunk})
    return len(positions)


def _row_of(event: HealthEvent, position: int) -> Row:
    return {**event_row(event), "id": event.id, "position": position}
