"""Dead letters: the events that a publisher refuses for good, kept until their replay is requested."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, func, select, update

from healthprobe.adapters.sql.database import SqlDatabase
from healthprobe.adapters.sql.event_rows import event_columns, event_from_row, event_row
from healthprobe.adapters.sql.schema import MOST, dead_letters
from healthprobe.adapters.sql.statements import upsert
from healthprobe.domain.event import altered_event, format_instant, parse_instant
from healthprobe.ports import DeadLetter, LogError


class SqlDeadLetters:
    """The dead letters of a `SqlDatabase`. Every method raises LogError."""

    def __init__(self, database: SqlDatabase) -> None:
        self._database = database

    async def park(self, letter: DeadLetter) -> None:
        """Stores `letter`. It replaces an earlier one about the same event and publisher."""
        await self._database.write(partial(_park, letter), LogError)

    async def dead_letters(self, limit: int, *, due_at: str | None = None) -> Sequence[DeadLetter]:
        """Returns at most `limit` letters, in the order in which their events were parked first. One whose event was
        altered, and cannot be read, has an AlteredEvent.

        With `due_at`, only those that the publisher of this name is to be sent again.
        """
        return await self._database.read(partial(_dead_letters, limit, due_at), LogError)

    async def request_replay(self) -> int:
        """Makes every dead letter due. Returns how many there are."""
        return await self._database.write(lambda connection: connection.execute(_MAKE_DUE).rowcount, LogError)

    async def release(self, letter: DeadLetter) -> None:
        """Removes `letter`: its event was delivered after all."""
        key = {"name": letter.publisher, "game": letter.event.game_id, "of_game": letter.event.sequence}
        await self._database.write(lambda connection: connection.execute(_RELEASE, key), LogError)


_table = dead_letters.c
_LETTERS = select(*event_columns(dead_letters), _table.publisher, _table.reason, _table.parked_at, _table.due).order_by(
    _table.number
)
_MAKE_DUE = update(dead_letters).values(due=True)
_is_the_letter = (
    (_table.publisher == bindparam("name"))
    & (_table.game_id == bindparam("game"))
    & (_table.sequence == bindparam("of_game"))
)
_RELEASE = delete(dead_letters).where(_is_the_letter)
_NUMBER_OF = select(_table.number).where(_is_the_letter)
_LAST_NUMBER = select(func.coalesce(func.max(_table.number), 0)).where(_table.number <= MOST)


def _park(letter: DeadLetter, connection: Connection) -> None:
    event = letter.event
    key = {"name": letter.publisher, "game": event.game_id, "of_game": event.sequence}
    number = connection.execute(_NUMBER_OF, key).scalar() or int(connection.execute(_LAST_NUMBER).scalar_one()) + 1
    row = {
        **event_row(event),
        "publisher": letter.publisher,
        "reason": letter.reason,
        "parked_at": format_instant(letter.parked_at),
        "due": letter.due,
        "number": number,
    }
    upsert(connection, dead_letters, [row])


def _dead_letters(limit: int, due_at: str | None, connection: Connection) -> list[DeadLetter]:
    query = _LETTERS.limit(limit)
    if due_at is not None:
        query = query.where(_table.due, _table.publisher == due_at)
    return [_letter_of(row) for row in connection.execute(query)]


def _letter_of(row: Row[*tuple[Any, ...]]) -> DeadLetter:
    """Returns the letter in `row`. If its event or its publisher was altered, its event is an AlteredEvent."""
    event = event_from_row(row, f"among the dead letters for {row.publisher}")
    if not isinstance(row.publisher, str):
        event = altered_event(event.as_document(), "among the dead letters", "its publisher is no text")
    try:
        parked_at = parse_instant(row.parked_at)
    except (TypeError, ValueError):
        parked_at = event.occurred_at
    return DeadLetter(str(row.publisher), event, str(row.reason), parked_at, due=bool(row.due))
