"""The incidents that are open in the log, read once and followed from then on."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from datetime import datetime, timedelta
from typing import Protocol

from healthprobe.domain.event import EventType, HealthEvent
from healthprobe.ports import IncidentLog, ReadableLog, WorkerLog
from healthprobe.worker.relay import BATCH


class FollowedLog(WorkerLog, ReadableLog, IncidentLog, Protocol):
    """The log as its incidents are followed."""


class Incidents:
    """Follows `log`. `open` has the `probe_failed` of each open incident by game, `since` when each was first known.

    `ended_at` has when incidents ended, by game, until `forget_ends`; `ended_as_gone` has the games of those that ended
    because their game no longer runs, as the log says.

    An incident is unconfirmed where nobody knows yet whether the game answers by now: one that was open when we began,
    and one whose game is listed again after it was not.
    """

    def __init__(self, log: FollowedLog, clock: Callable[[], datetime]) -> None:
        self._log = log
        self._clock = clock
        self._cursor = 0
        self.open: dict[str, HealthEvent] = {}
        self.since: dict[str, datetime] = {}
        self.ended_at: dict[str, datetime] = {}
        self.ended_as_gone: set[str] = set()
        self._unconfirmed: set[str] = set()
        self.changes = 0
        """How many events were applied so far."""

    async def begin(self, game_ids: Iterable[str]) -> None:
        """Reads what is open, and when the last incidents of these games ended. Forgets all that was read before.

        Raises LogError.
        """
        for known in (self.open, self.since, self.ended_at, self.ended_as_gone):
            known.clear()
        cursor = await self._log.end()
        for event in (await self._log.open_incidents()).values():
            self._apply(event)
        self._unconfirmed = set(self.open)
        ended = [game_id for game_id in game_ids if game_id not in self.open]
        for event in (await self._log.last_events(ended)).values():
            self._apply(event)
        self._cursor = cursor

    def known_since(self, game_id: str, now: datetime, *, is_listed: bool, lead: timedelta) -> datetime:
        """Returns since when an open incident counts as known: by `lead` later than now at the most, whatever the clock
        was. An unconfirmed one counts from `lead` after its game is listed: less than nothing for one long known.
        """
        since = min(self.since[game_id], now + max(lead, timedelta()))
        if not is_listed:
            self._unconfirmed.add(game_id)
        elif game_id in self._unconfirmed:
            self._unconfirmed.remove(game_id)
            since = max(since, now + lead)
        self.since[game_id] = since
        return since

    async def refresh(self) -> None:
        """Reads to the end of the log. Raises LogError."""
        while entries := await self._log.read(self._cursor, BATCH):
            for entry in entries:
                self._apply(entry.event)
            self._cursor = entries[-1].cursor

    def forget_ends(self, keep: Collection[str]) -> None:
        """Forgets when incidents ended, save of the games `keep`."""
        for game_id in self.ended_at.keys() - set(keep):
            del self.ended_at[game_id]
            self.ended_as_gone.discard(game_id)

    def _apply(self, event: HealthEvent) -> None:
        """Applies an event, which may have been known before. One that was altered counts by its sequence."""
        known = self.open.get(event.game_id)
        if event.sequence < 1 or (known is not None and event.sequence <= known.sequence):
            return
        self.changes += 1
        self._unconfirmed.discard(event.game_id)
        if event.event_type is EventType.PROBE_FAILED:
            self.open[event.game_id] = event
            self.since[event.game_id] = min(event.occurred_at, self._clock())
        else:
            self.open.pop(event.game_id, None)
            self.since.pop(event.game_id, None)
            self.ended_at[event.game_id] = event.occurred_at
            if event.event_type is EventType.PROBE_ENDED:
                self.ended_as_gone.add(event.game_id)
            else:
                self.ended_as_gone.discard(event.game_id)
