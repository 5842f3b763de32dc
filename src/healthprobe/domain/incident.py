"""The incident: from a game's `probe_failed` to its `probe_recovered`, or to the game's end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from healthprobe.domain.alarms.gone import GoneIncident
from healthprobe.domain.event import HealthEvent, ProbeEndedDetails, ProbeFailedDetails, format_instant


@dataclass(frozen=True, slots=True)
class Incident:
    """An incident of one game. While it is open `recovered` and `gone_at` are None.

    `gone_at` is when the game was known to run no more, by a note with the log or by a `probe_ended`.
    """

    failed: HealthEvent
    recovered: HealthEvent | None
    gone_at: datetime | None = None

    @classmethod
    def ended_by(cls, failed: HealthEvent, end: HealthEvent) -> Incident:
        """Returns the incident that began with `failed` and that the game's next event ended."""
        if isinstance(end.details, ProbeEndedDetails):
            return cls(failed, None, end.occurred_at)
        return cls(failed, end)

    @property
    def game_id(self) -> str:
        return self.failed.game_id

    @property
    def labels(self) -> Mapping[str, str]:
        """The labels that the game had when the incident began."""
        return self.failed.labels

    @property
    def is_open(self) -> bool:
        return self.ended_at is None

    @property
    def ended_at(self) -> datetime | None:
        """When the game recovered or was gone; None while the incident is open."""
        return self.gone_at if self.recovered is None else self.recovered.occurred_at

    def lasted(self, now: datetime) -> timedelta:
        """Returns its duration, up to `now` while it is open. Never negative, though wall clocks may step."""
        return max((self.ended_at or now) - self.failed.occurred_at, timedelta(0))

    def as_document(self, now: datetime) -> dict[str, Any]:
        """Returns the incident as data; `duration_s` runs up to `now` while it is open."""
        failed = self.failed.details
        assert isinstance(failed, ProbeFailedDetails)
        document = {
            "game_id": self.game_id,
            "container_id": self.failed.container_id,
            "open": self.is_open,
            "failed_at": format_instant(self.failed.occurred_at),
            "recovered_at": None if self.recovered is None else format_instant(self.recovered.occurred_at),
            "gone_at": None if self.gone_at is None else format_instant(self.gone_at),
            "duration_s": round(self.lasted(now).total_seconds(), 3),
            "last_status": failed.last_status,
            "last_error": failed.last_error,
        }
        if self.labels:
            document["labels"] = dict(self.labels)
        return document


_NONE_GONE: Mapping[tuple[str, int], GoneIncident] = {}


def incidents(
    events: Iterable[HealthEvent], gone: Mapping[tuple[str, int], GoneIncident] = _NONE_GONE
) -> list[Incident]:
    """Returns the incidents in `events`, in the order in which they began. `gone` are notes with the log.

    The end of an incident whose `probe_failed` is not among the events, because it was pruned, is ignored.
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
            found[index] = Incident.ended_by(found[index].failed, event)
    for index in open_at.values():
        failed = found[index].failed
        if (note := gone.get((failed.game_id, failed.sequence))) is not None:
            found[index] = Incident(failed, None, note.gone_at)
    return found
