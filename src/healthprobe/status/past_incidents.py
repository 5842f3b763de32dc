"""The incidents of the last weeks, by game, read from the log when somebody asks."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime

from healthprobe.domain.alarms.gone import GONE, GoneIncident, gone_incidents
from healthprobe.domain.availability import Availability, Span, availability, parts_of
from healthprobe.domain.event import HealthEvent
from healthprobe.domain.incident import incidents
from healthprobe.domain.watch import NOTHING, WATCH, WatchedTime, readable_times, together, watched_spans
from healthprobe.ports import DocumentLog, HealthEventLog

DAYS = 30
MOST_EVENTS = 100_000
"""How many events, the newest, are kept to answer from: some tens of megabytes."""

_DAY = 86_400.0
_PAGE = 1_000


class PastIncidents:
    """Follows the log from the first question on. Where it has more than MOST_EVENTS, the window begins later."""

    def __init__(self, log: HealthEventLog) -> None:
        self._log = log
        self._cursor: int | None = None
        self._began = float("-inf")
        self._of_game: dict[str, list[HealthEvent]] = {}
        self._one_at_a_time = asyncio.Lock()

    async def availability(
        self, game_id: str, now: datetime
    ) -> tuple[Span, Availability, list[tuple[Span, Availability]]]:
        """Returns the window of the last 30 days, the game's availability in it, and in each of its days.

        Raises LogError.
        """
        async with self._one_at_a_time:
            await self._catch_up()
        gone, watched = await self._notes()
        until = now.timestamp()
        window = (min(max(until - DAYS * _DAY, self._began), until), until)
        known = incidents(self._of_game.get(game_id, ()), gone)
        spans = watched_spans(watched, game_id)
        days = [(part, availability(known, spans, part)) for part in parts_of(window, DAYS)]
        return window, availability(known, spans, window), days

    async def _notes(self) -> tuple[Mapping[tuple[str, int], GoneIncident], WatchedTime]:
        if not isinstance(self._log, DocumentLog):
            return {}, NOTHING
        gone = gone_incidents(await self._log.documents(GONE))
        return gone, together(readable_times(await self._log.documents(WATCH)).values())

    async def _catch_up(self) -> None:
        if self._cursor is None:
            self._cursor = max(await self._log.end() - MOST_EVENTS, 0)
            if self._cursor and (first := await self._log.read(self._cursor, 1)):
                self._began = first[0].event.occurred_at.timestamp()
        while page := await self._log.read(self._cursor, _PAGE):
            for entry in page:
                self._of_game.setdefault(entry.event.game_id, []).append(entry.event)
            self._cursor = page[-1].cursor
            await asyncio.sleep(0)
