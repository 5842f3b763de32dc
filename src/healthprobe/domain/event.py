"""The health event: a transition in the log, and the document that consumers read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

DEFAULT_SOURCE = "/healthprobe"
"""The source of events whose log has no identity, as a URI reference."""


def source_of(identity: str) -> str:
    """Returns the source of the events of the log with this identity, as a URI reference."""
    return f"{DEFAULT_SOURCE}/{identity}"


class EventType(StrEnum):
    """The types of transition."""

    PROBE_FAILED = "probe_failed"
    PROBE_RECOVERED = "probe_recovered"


@dataclass(frozen=True, slots=True)
class ProbeFailedDetails:
    """The run of failures that reached the threshold, and its last outcome."""

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
    """The number of failures in a row that the incident had."""

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

    `sequence` counts a game's events from 1 without gaps. `occurred_at` is the wall time in UTC at which the transition
    was seen, even if the log took it later.
    """

    sequence: int
    game_id: str
    container_id: str
    occurred_at: datetime
    details: Details

    @property
    def id(self) -> str:
        """`game_id:sequence`, by which a consumer recognizes a repeated delivery."""
        return f"{self.game_id}:{self.sequence}"

    @property
    def event_type(self) -> EventType:
        return self.details.event_type

    def as_document(self) -> dict[str, Any]:
        """Returns the event with exactly the fields, in order, of the contract in `docs/asyncapi.yaml`."""
        return {
            "id": self.id,
            "sequence": self.sequence,
            "game_id": self.game_id,
            "container_id": self.container_id,
            "event_type": self.event_type.value,
            "occurred_at": format_instant(self.occurred_at),
            "details": self.details.as_document(),
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> HealthEvent:
        """Returns the event that `as_document` wrote. Ignores fields that it does not know, and the id.

        Raises ValueError where a field is missing, has another type or another form.
        """
        try:
            sequence, game_id, container_id = document["sequence"], document["game_id"], document["container_id"]
            if not (type(sequence) is int and isinstance(game_id, str) and isinstance(container_id, str)):
                raise ValueError("sequence must be an integer, game_id and container_id must be text")
            occurred_at = parse_instant(document["occurred_at"])
            details = _details_from_document(document["event_type"], document["details"])
        except (KeyError, TypeError, OverflowError) as error:  # int() of an infinity, which Python's JSON reads
            raise ValueError(f"a field of the event is missing or has another type: {error!r}") from error
        return cls(sequence, game_id, container_id, occurred_at, details)


def _details_from_document(event_type: str, details: Any) -> Details:
    match EventType(event_type):
        case EventType.PROBE_FAILED:
            return ProbeFailedDetails(
                consecutive_failures=int(details["consecutive_failures"]),
                last_status=int(details["last_status"]),
                last_error=str(details["last_error"]),
            )
        case EventType.PROBE_RECOVERED:
            return ProbeRecoveredDetails(prior_failure_count=int(details["prior_failure_count"]))


def format_instant(instant: datetime) -> str:
    """Returns RFC 3339 in UTC with microseconds, always 27 characters, so that text order is time order."""
    return f"{instant.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"


def parse_instant(text: str) -> datetime:
    """Returns the instant that `format_instant` wrote. Raises ValueError for any other text."""
    instant = datetime.fromisoformat(text)
    try:
        is_canonical = format_instant(instant) == text
    except OverflowError:  # the offset leads out of the calendar
        is_canonical = False
    if not is_canonical:
        raise ValueError(f"not an instant of a health event: {text!r}")
    return instant
