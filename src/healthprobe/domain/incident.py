"""The incident: from a game's `probe_failed` to its `probe_recovered`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from healthprobe.domain.event import HealthEvent, ProbeFailedDetails, format_instant


@dataclass(frozen=True, slots=True)
class Incident:
    """An incident of one game. `recovered` is None while it is open."""

    failed: HealthEvent
    recovered: HealthEvent | None

    @property
    def game_id(self) -> str:
        return self.failed.game_id

    @property
    def is_open(self) -> bool:
        return self.recovered is None

    def lasted(self, now: datetime) -> timedelta:
        """Returns its duration, up to `now` while it is open. Never negative, though wall clocks may step."""
        end = now if self.recovered is None else self.recovered.occurred_at
        return max(end - self.failed.occurred_at, timedelta(0))

    def as_document(self, now: datetime) -> dict[str, Any]:
        """Returns the incident as data; `duration_s` runs up to `now` while it is open."""
        failed = self.failed.details
        assert isinstance(failed, ProbeFailedDetails)
        return {
            "game_id": self.game_id,
            "container_id": self.failed.container_id,
            "open": self.is_open,
            "failed_at": format_instant(self.failed.occurred_at),
            "recovered_at": None if self.recovered is None else format_instant(self.recovered.occurred_at),
            "duration_s": round(self.lasted(now).total_seconds(), 3),
            "last_status": failed.last_status,
            "last_error": failed.last_error,
        }


def incidents(events: Iterable[HealthEvent]) -> list[Incident]:
    """Returns the incidents in `events`, in the order in which they began.

    A `probe_recovered` whose `probe_failed` is not among the events, because it was pruned, is ignored.
    """
    found: list[Incident] = []
    open_at: dict[str, int] = {}
    for event in events:
        if event.sequence < 1:  # it was altered, and could be any event
            continue
        if isinstance(event.details, ProbeFailedDetails):
            open_at[event.game_id] = len(found)
            found.append(Incident(event, None))
        elif (index := open_at.pop(event.game_id, None)) is not None:
            found[index] = Incident(found[index].failed, event)
    return found
