"""Open incidents: the last event of each game whose last event is a `probe_failed`.

One game is found after the other in the index of game and sequence, so the cost is that of the games, however many
events each has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, func, or_, select, true

from healthprobe.adapters.sql.event_rows import event_columns
from healthprobe.adapters.sql.schema import health_events
from healthprobe.domain.event import EventType, HealthEvent

_ENDS = [each.value for each in EventType if each is not EventType.PROBE_FAILED]


def _may_be_open(table: Any) -> ColumnElement[bool]:
    """Leaves out what surely is no `probe_failed`: the type of an altered event is that of its sequence."""
    return or_(table.event_type.not_in(_ENDS), table.sequence % 2 == 1)


def _in_sqlite() -> Any:
    """Finds each game after the one before it, and its last event by the greatest sequence that is an integer."""
    table = health_events.c
    following, of_game = health_events.alias("following").c, health_events.alias("of_game").c
    games = select(func.min(table.game_id).label("game_id")).cte("games", recursive=True)
    next_game = select(func.min(following.game_id)).where(following.game_id > games.c.game_id).scalar_subquery()
    games = games.union_all(select(next_game).where(games.c.game_id.is_not(None)))
    newest = (
        select(func.max(of_game.sequence))
        .where(of_game.game_id == games.c.game_id, func.typeof(of_game.sequence) == "integer")
        .scalar_subquery()
    )
    is_last = (table.game_id == games.c.game_id) & (table.sequence == newest)
    columns = [*event_columns(health_events), table.position]
    return select(*columns).join_from(games, health_events, is_last).where(_may_be_open(table)).order_by(table.position)


def _in_postgres() -> Any:
    """Reads the index backwards: the event before all of one game is the last of the game before it."""
    before = health_events.alias("before")
    newest = select(_last_in(health_events).subquery()).cte("newest", recursive=True)
    of_game_before = _last_in(before).where(before.c.game_id < newest.c.game_id).lateral()
    newest = newest.union_all(select(*of_game_before.c).select_from(newest.join(of_game_before, true())))
    return select(newest).where(_may_be_open(newest.c)).order_by(newest.c.position)


def _last_in(table: Any) -> Any:
    columns = [*event_columns(table), table.c.position]
    return select(*columns).order_by(table.c.game_id.desc(), table.c.sequence.desc()).limit(1)


_OPEN = {"sqlite": _in_sqlite(), "postgresql": _in_postgres()}


def open_incidents(
    event_of: Callable[[Row[*tuple[Any, ...]]], HealthEvent], connection: Connection
) -> Mapping[str, HealthEvent]:
    """Returns the last event of each game whose last event is a `probe_failed`, by game, in the order of the log."""
    rows = connection.execute(_OPEN[connection.dialect.name])
    events = {row.game_id: event_of(row) for row in rows if isinstance(row.game_id, str)}
    return {game_id: event for game_id, event in events.items() if event.event_type is EventType.PROBE_FAILED}
