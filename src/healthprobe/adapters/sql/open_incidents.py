"""Open incidents: the last event of each game whose last event is a `probe_failed`.

The games are found one after the other in the index of game and sequence, and so is the end of each: the cost is that
of the games, however many events each has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Connection, Row, func, or_, select

from healthprobe.adapters.sql.event_rows import event_columns
from healthprobe.adapters.sql.schema import health_events
from healthprobe.domain.event import EventType, HealthEvent

_ENDS = [each.value for each in EventType if each is not EventType.PROBE_FAILED]


def _open_incidents_of(dialect: str) -> Any:
    table = health_events.c
    following, of_game = health_events.alias("following"), health_events.alias("of_game")
    games = select(func.min(table.game_id).label("game_id")).cte("games", recursive=True)
    next_game = select(func.min(following.c.game_id)).where(following.c.game_id > games.c.game_id).scalar_subquery()
    games = games.union_all(select(next_game).where(games.c.game_id.is_not(None)))
    newest = select(func.max(of_game.c.sequence)).where(of_game.c.game_id == games.c.game_id)
    if dialect == "sqlite":  # which holds other values in a column of integers, where somebody writes them
        newest = newest.where(func.typeof(of_game.c.sequence) == "integer")
    is_last = (table.game_id == games.c.game_id) & (table.sequence == newest.scalar_subquery())
    may_be_open = or_(table.event_type.not_in(_ENDS), table.sequence % 2 == 1)
    columns = [*event_columns(health_events), table.position]
    return select(*columns).join_from(games, health_events, is_last).where(may_be_open).order_by(table.position)


_OPEN = {dialect: _open_incidents_of(dialect) for dialect in ("sqlite", "postgresql")}


def open_incidents(
    event_of: Callable[[Row[*tuple[Any, ...]]], HealthEvent], connection: Connection
) -> Mapping[str, HealthEvent]:
    """Returns the last event of each game whose last event is a `probe_failed`, by game, in the order of the log."""
    rows = connection.execute(_OPEN[connection.dialect.name])
    events = {row.game_id: event_of(row) for row in rows if isinstance(row.game_id, str)}
    return {game_id: event for game_id, event in events.items() if event.event_type is EventType.PROBE_FAILED}
