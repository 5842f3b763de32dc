"""Open incidents and the most recent ended ones, followed in the log as it grows."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

from healthprobe.domain.alarms.gone import GONE, GoneIncident, gone_incidents
from healthprobe.domain.event import HealthEvent, ProbeFailedDetails
from healthprobe.domain.incident import Incident
from healthprobe.ports import DocumentLog, HealthEventLog

ENDED_KEPT = 500
"""How many ended incidents are kept."""

_TAIL = 2_000
_PAGE = 1_000
_LOOKED_UP_AT_ONCE = 1_000


class Incidents:
    """Follows the log. `cursor` is the position up to which it was read, None before the first read.

    An open incident whose game is gone has ended, until the game is seen again.
    """

    def __init__(self, log: HealthEventLog) -> None:
        self.cursor: int | None = None
        self.ended: deque[Incident] = deque(maxlen=ENDED_KEPT)
        self._log = log
        self._open: dict[str, HealthEvent] = {}
        self._gone: dict[str, HealthEvent] = {}

    @property
    def open(self) -> Mapping[str, HealthEvent]:
        """The `probe_failed` of each open incident, by game."""
        return self._open

    @property
    def gone(self) -> Mapping[str, HealthEvent]:
        """The `probe_failed` of each incident that has ended because its game is gone, by game."""
        return self._gone

    async def catch_up(self) -> None:
        """Reads what is new in the log; the first time only its last 2,000 events. Raises LogError."""
        if self.cursor is None:
            self.cursor = max(await self._log.end() - _TAIL, 0)
        while page := await self._log.read(self.cursor, _PAGE):
            for entry in page:
                self._apply(entry.event)
            self.cursor = page[-1].cursor
            if len(page) < _PAGE:
                break

    async def look_up(self, game_ids: Iterable[str]) -> None:
        """Asks the log for incidents of these games that began before what was read. Raises LogError."""
        missing = [game_id for game_id in game_ids if game_id not in self._open and game_id not in self._gone][
            :_LOOKED_UP_AT_ONCE
        ]
        if missing:
            for event in (await self._log.last_events(missing)).values():
                if isinstance(event.details, ProbeFailedDetails):
                    self._open.setdefault(event.game_id, event)

    async def end(self, game_ids: Collection[str], now: datetime) -> None:
        """Ends the open incidents of games that are gone, when the log's notes say, or else `now`. Raises LogError."""
        if not game_ids:
            return
        notes = gone_incidents(await self._log.documents(GONE)) if isinstance(self._log, DocumentLog) else {}
        for game_id in game_ids:
            if (failed := self._open.pop(game_id, None)) is not None:
                note = notes.get((game_id, failed.sequence), GoneIncident.of(failed, now))
                self._gone[game_id] = failed
                self.ended.append(Incident(failed, None, note.gone_at))

    def resume(self, game_ids: Collection[str]) -> None:
        """Opens the incidents of games that were gone and are listed again."""
        for game_id in game_ids:
            failed = self._open[game_id] = self._gone.pop(game_id)
            self._forget_end_of(failed)

    def _apply(self, event: HealthEvent) -> None:
        if not (event.game_id and event.sequence):  # it was altered, and could be any event
            return
        if (gone := self._gone.pop(event.game_id, None)) is not None:
            self._forget_end_of(gone)
            self._open[event.game_id] = gone
        if isinstance(event.details, ProbeFailedDetails):
            self._open[event.game_id] = event
        elif (failed := self._open.pop(event.game_id, None)) is not None:
            self.ended.append(Incident.ended_by(failed, event))

    def _forget_end_of(self, failed: HealthEvent) -> None:
        kept = [each for each in self.ended if each.failed != failed]
        self.ended.clear()
        self.ended.extend(kept)
