"""Open incidents and the most recent ended ones, followed in the log as it grows."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Mapping

from healthprobe.domain.event import HealthEvent, ProbeFailedDetails
from healthprobe.domain.incident import Incident
from healthprobe.ports import HealthEventLog

ENDED_KEPT = 500
"""How many ended incidents are kept."""

_TAIL = 2_000
_PAGE = 1_000
_LOOKED_UP_AT_ONCE = 1_000


class Incidents:
    """Follows the log. `cursor` is the position up to which it was read, None before the first read."""

    def __init__(self, log: HealthEventLog) -> None:
        self.cursor: int | None = None
        self.ended: deque[Incident] = deque(maxlen=ENDED_KEPT)
        self._log = log
        self._open: dict[str, HealthEvent] = {}

    @property
    def open(self) -> Mapping[str, HealthEvent]:
        """The `probe_failed` of each open incident, by game."""
        return self._open

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
        missing = [game_id for game_id in game_ids if game_id not in self._open][:_LOOKED_UP_AT_ONCE]
        if missing:
            for event in (await self._log.last_events(missing)).values():
                if isinstance(event.details, ProbeFailedDetails):
                    self._open.setdefault(event.game_id, event)

    def discard(self, game_ids: Collection[str]) -> None:
        """Drops the open incidents of games that are no longer watched."""
        for game_id in game_ids:
            self._open.pop(game_id, None)

    def _apply(self, event: HealthEvent) -> None:
        if not (event.game_id and event.sequence):  # it was altered, and could be any event
            return
        if isinstance(event.details, ProbeFailedDetails):
            self._open[event.game_id] = event
        elif (failed := self._open.pop(event.game_id, None)) is not None:
            self.ended.append(Incident(failed, event))
