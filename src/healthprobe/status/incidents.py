"""The incidents that are seen: open ones and the last that ended, as the log tells of them while it grows."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Mapping

from healthprobe.domain.event import HealthEvent, ProbeFailedDetails
from healthprobe.domain.incident import Incident
from healthprobe.ports import HealthEventLog

REMEMBERED = 500
"""How many incidents that ended are remembered."""

_TAIL = 2_000
_PAGE = 1_000
_ASKED_AT_ONCE = 1_000


class Incidents:
    """Follows the log. `cursor` is how far it was read; None before the first time."""

    def __init__(self, log: HealthEventLog) -> None:
        self.cursor: int | None = None
        self.ended: deque[Incident] = deque(maxlen=REMEMBERED)
        self._log = log
        self._open: dict[str, HealthEvent] = {}

    @property
    def open(self) -> Mapping[str, HealthEvent]:
        """By game, the `probe_failed` of its incident."""
        return self._open

    async def catch_up(self) -> None:
        """Read what is new in the log; at first its end, and nothing older. Raises LogError."""
        if self.cursor is None:
            self.cursor = max(await self._log.end() - _TAIL, 0)
        while page := await self._log.read(self.cursor, _PAGE):
            for entry in page:
                self._take(entry.event)
            self.cursor = page[-1].cursor
            if len(page) < _PAGE:
                break

    async def look_up(self, game_ids: Iterable[str]) -> None:
        """These are in an incident; where it began before what was read, the log is asked for it. Raises LogError."""
        missing = [game_id for game_id in game_ids if game_id not in self._open][:_ASKED_AT_ONCE]
        if missing:
            for event in (await self._log.last_events(missing)).values():
                if isinstance(event.details, ProbeFailedDetails):
                    self._open.setdefault(event.game_id, event)

    def let_go(self, game_ids: Collection[str]) -> None:
        """These are watched no more: what is open about them will not end."""
        for game_id in game_ids:
            self._open.pop(game_id, None)

    def _take(self, event: HealthEvent) -> None:
        if isinstance(event.details, ProbeFailedDetails):
            self._open[event.game_id] = event
        elif (failed := self._open.pop(event.game_id, None)) is not None:
            self.ended.append(Incident(failed, event))
