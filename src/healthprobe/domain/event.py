"""The health event: a transition in the log, and the document that consumers read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from healthprobe.domain.labels import labels_from_document, no_labels

DEFAULT_SOURCE = "/healthprobe"
"""The source of events whose log has no identity, as a URI reference."""


def source_of(identity: str) -> str:
    """Returns the source of the events of the log with this identity, as a URI reference."""
    return f"{DEFAULT_SOURCE}/{identity}"


class EventType(StrEnum):
    """The types of transition."""

    PROBE_FAILED = "probe_failed"
    PROBE_RECOVERED = "probe_recovered"

    PROBE_ENDED = "probe_ended"
    """Only with `--ended-events`: the game is no longer listed, so nobody can see it recover."""


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


GAME_NO_LONGER_RUNS = "game no longer runs"


@dataclass(frozen=True, slots=True)
class ProbeEndedDetails:
    """Why the incident ended though no success was seen."""

    reason: str = GAME_NO_LONGER_RUNS

    @property
    def event_type(self) -> EventType:
        return EventType.PROBE_ENDED

    def as_document(self) -> dict[str, Any]:
        return {"reason": self.reason}


Details = ProbeFailedDetails | ProbeRecoveredDetails | ProbeEndedDetails


@dataclass(frozen=True, slots=True)
class HealthEvent:
    """One transition of one game.

    `sequence` counts a game's events from 1 without gaps. `occurred_at` is the wall time in UTC at which the transition
    was seen, even if the log took it later. `labels` are those that the game's record had then.
    """

    sequence: int
    game_id: str
    container_id: str
    occurred_at: datetime
    details: Details
    labels: Mapping[str, str] = field(default_factory=no_labels, hash=False, kw_only=True)

    @property
    def id(self) -> str:
        """`game_id:sequence`, by which a consumer recognizes a repeated delivery."""
        return f"{self.game_id}:{self.sequence}"

    @property
    def event_type(self) -> EventType:
        return self.details.event_type

    def as_document(self) -> dict[str, Any]:
        """Returns the event with exactly the fields, in order, of the contract in `docs/asyncapi.yaml`.

        Without labels there is no such field.
        """
        document = {
            "id": self.id,
            "sequence": self.sequence,
            "game_id": self.game_id,
            "container_id": self.container_id,
            "event_type": self.event_type.value,
            "occurred_at": format_instant(self.occurred_at),
            "details": self.details.as_document(),
        }
        if self.labels:
            document["labels"] = dict(self.labels)
        return document

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> HealthEvent:
        """Returns the event that `as_document` wrote. Ignores fields that it does not know, and the id.

        Raises ValueError where a field is missing, has another type or another form.
        """
        try:
            sequence, game_id, container_id = document["sequence"], document["game_id"], document["container_id"]
            if not (type(sequence) is int and isinstance(game_id, str) and isinstance(container_id, str)):
                raise ValueError("sequence must be an integer, game_id and container_id must be text")
            if sequence < 1:
                raise ValueError("sequence must be at least 1")
            _check_text(game_id, container_id)
            occurred_at = parse_instant(document["occurred_at"])
            details = _details_from_document(document["event_type"], document["details"])
            labels = labels_from_document(document.get("labels"))
        except (KeyError, TypeError, OverflowError) as error:  # int() of an infinity, which Python's JSON reads
            raise ValueError(f"a field of the event is missing or has another type: {error!r}") from error
        return cls(sequence, game_id, container_id, occurred_at, details, labels=labels)


@dataclass(frozen=True, slots=True)
class AlteredEvent(HealthEvent):
    """An event in the log that cannot be read, because another program altered it. It is never delivered.

    It has what can still be known of the event, so that the log can be followed past it. `problem` names the event, its
    place and what is wrong. Its type is that of its sequence: of a game's events the odd ones are a
    `probe_failed`, the even ones end an incident.
    """

    problem: str


_UNKNOWN = datetime(1970, 1, 1, tzinfo=UTC)
_GREATEST = 2**63 - 1
_LONGEST = 200
"""The most characters of an error, which may quote what is in the log."""


def altered_event(document: Mapping[str, Any], place: str, error: object) -> AlteredEvent:
    """Returns what can be known of the event at `place` in the log, whose `document` cannot be read for an `error`.

    >>> altered_event({"game_id": "game-7", "sequence": 2, "details": None}, "at 9 in the log", "no details").problem
    'the event game-7:2 at 9 in the log was altered and cannot be read: no details'
    """
    sequence = document.get("sequence")
    sequence = sequence if type(sequence) is int else 0
    game_id, container_id = (_text_of(document.get(name)) for name in ("game_id", "container_id"))
    try:
        occurred_at = parse_instant(document["occurred_at"])
    except (KeyError, TypeError, ValueError):
        occurred_at = _UNKNOWN
    problem = f"the event {game_id}:{sequence} {place} was altered and cannot be read: {str(error)[:_LONGEST]}"
    details = ProbeFailedDetails(1, 0, problem) if sequence % 2 else ProbeRecoveredDetails(1)
    return AlteredEvent(sequence, game_id, container_id, occurred_at, details, problem)


def _text_of(value: object) -> str:
    """Returns `value` as text, without what is no character."""
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    return value.decode(errors="replace") if isinstance(value, bytes) else ""


def _details_from_document(event_type: str, details: Any) -> Details:
    match EventType(event_type):
        case EventType.PROBE_FAILED:
            last_error = str(details["last_error"])
            _check_text(last_error)
            return ProbeFailedDetails(
                consecutive_failures=_number(details["consecutive_failures"]),
                last_status=_number(details["last_status"]),
                last_error=last_error,
            )
        case EventType.PROBE_RECOVERED:
            return ProbeRecoveredDetails(prior_failure_count=_number(details["prior_failure_count"]))
        case EventType.PROBE_ENDED:
            reason = str(details["reason"])
            _check_text(reason)
            return ProbeEndedDetails(reason)


def _number(value: Any) -> int:
    """Returns the number. Raises ValueError for one that other programs cannot read."""
    number = int(value)
    if not 0 <= number <= _GREATEST:
        raise ValueError(f"a number of the event is out of range: {number:.3e}")
    return number


def _check_text(*texts: str) -> None:
    """Raises UnicodeEncodeError, a ValueError, for text with lone surrogates, which no bus takes."""
    for text in texts:
        if not text.isascii():
            text.encode()


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
