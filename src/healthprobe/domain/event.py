"""The health event: a transition as it stands in the log, and as the world reads it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any


class EventType(StrEnum):
    """The two transitions there are."""

    PROBE_FAILED = "probe_failed"
    PROBE_RECOVERED = "probe_recovered"


@dataclass(frozen=True, slots=True)
class ProbeFailedDetails:
    """Why a game is in an incident: the run of failures that reached the threshold, and its last outcome."""

    consecutive_failures: int
    last_status: int
    last_error: str

    @property
    def event_type(self) -> EventType:
        return EventType.PROBE_FAILED

    def as_document(self) -> dict[str, Any]:
        return {
            "consecutive_failures": self.consecutive_failures,
            "last_status": self.last_status,
            "last_error": self.last_error,
        }


@dataclass(frozen=True, slots=True)
class ProbeRecoveredDetails:
    """How many failures in a row the incident had, from its first to its last."""

    prior_failure_count: int

    @property
    def event_type(self) -> EventType:
        return EventType.PROBE_RECOVERED

    def as_document(self) -> dict[str, Any]:
        return {"prior_failure_count": self.prior_failure_count}


Details = ProbeFailedDetails | ProbeRecoveredDetails


@dataclass(frozen=True, slots=True)
class HealthEvent:
    """One transition of one game.

    `sequence` counts a game's events from 1 without gaps. `occurred_at` is wall time in UTC: when the transition was
    seen, however much later the log took it.
    """

    sequence: int
    game_id: str
    container_id: str
    occurred_at: datetime
    details: Details

    @property
    def id(self) -> str:
        """`game_id:sequence`: a consumer that sees a delivery twice can tell by it."""
        return f"{self.game_id}:{self.sequence}"

    @property
    def event_type(self) -> EventType:
        return self.details.event_type

    def as_document(self) -> dict[str, Any]:
        """The event with exactly the fields, and their order, of the contract in `docs/asyncapi.yaml`."""
        return {
            "id": self.id,
            "sequence": self.sequence,
            "game_id": self.game_id,
            "container_id": self.container_id,
            "event_type": self.event_type.value,
            "occurred_at": format_instant(self.occurred_at),
            "details": self.details.as_document(),
        }


def details_from_document(event_type: str, details: dict[str, Any]) -> Details:
    """The details of an event as they were written by `as_document`.

    Raises ValueError for an unknown event type, KeyError or TypeError for fields that do not fit it.
    """
    match EventType(event_type):
        case EventType.PROBE_FAILED:
            return ProbeFailedDetails(
                consecutive_failures=_count(details["consecutive_failures"]),
                last_status=_count(details["last_status"]),
                last_error=str(details["last_error"]),
            )
        case EventType.PROBE_RECOVERED:
            return ProbeRecoveredDetails(prior_failure_count=_count(details["prior_failure_count"]))


def _count(value: Any) -> int:
    try:
        return int(value)
    except OverflowError:  # JSON that Python reads can tell an infinity
        raise ValueError(f"not a count: {value!r}") from None


def format_instant(instant: datetime) -> str:
    """RFC 3339 in UTC with microseconds, always in the same 27 characters, so that text order is time order."""
    return f"{instant.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"


def parse_instant(text: str) -> datetime:
    """The instant that `format_instant` wrote. Raises ValueError for anything else."""
    instant = datetime.fromisoformat(text)
    try:
        is_ours = format_instant(instant) == text
    except OverflowError:  # an offset can lead out of the calendar
        is_ours = False
    if not is_ours:
        raise ValueError(f"not an instant of a health event: {text!r}")
    return instant
