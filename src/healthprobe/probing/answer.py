"""The answer: what one request on one connection came to."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from healthprobe.domain.outcome import Failed, FailureKind, Healthy, Inconclusive
from healthprobe.probing.errors import outcome_of_error


class Silence(Enum):
    """Why there is no answer."""

    SO_FAR = auto()
    """No whole head in the time that was given; it may still come."""

    CLOSED = auto()
    """The connection ended before a single byte of an answer."""


@dataclass(frozen=True, slots=True)
class Redirect:
    """A redirect and where it points."""

    status: int
    location: str


Answer = Healthy | Failed | Inconclusive | Redirect | Silence


def closing_cause(error: Exception | None, *, in_head: bool) -> Failed | Inconclusive:
    """Why a connection ended that owed an answer."""
    place = "in the middle of the response head" if in_head else "before the response head"
    if error is None:
        return Failed(0, f"connection closed {place}", FailureKind.CLOSED)
    outcome = outcome_of_error(error)
    return Failed(0, f"{outcome.last_error} {place}", outcome.kind) if isinstance(outcome, Failed) else outcome
