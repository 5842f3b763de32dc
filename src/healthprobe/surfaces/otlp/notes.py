"""The notes: what spans are made of. They are taken on the loop, cheaply, and made into spans elsewhere."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from random import getrandbits

from healthprobe.domain.endpoint import Endpoint
from healthprobe.domain.event import HealthEvent
from healthprobe.domain.outcome import Failed

MOST_NOTES = 10_000
"""How many notes wait to be sent at most: each costs CPU that probes want, most of all while a fleet is down."""


def _identity(bits: int) -> int:
    """A random number of so many bits that is not 0, which OpenTelemetry does not take."""
    return getrandbits(bits) or 1


@dataclass(frozen=True, slots=True)
class Place:
    """Where a span stands: its trace, and its own id in there."""

    trace_id: int = field(default_factory=lambda: _identity(128))
    span_id: int = field(default_factory=lambda: _identity(64))

    def child(self) -> Place:
        return Place(self.trace_id)


@dataclass(frozen=True, slots=True)
class PassedTick:
    """A tick that ended at `ended`, in nanoseconds of wall time, as all instants here. `duration` is seconds."""

    place: Place
    ended: int
    duration: float
    games: int
    dropped: int


@dataclass(frozen=True, slots=True)
class FailedProbe:
    """A probe at `place` that failed, within the tick at `tick`. `duration` and `lateness` are seconds."""

    tick: Place
    place: Place
    ended: int
    duration: float
    lateness: float
    game_id: str
    endpoint: Endpoint | None
    outcome: Failed


@dataclass(frozen=True, slots=True)
class SeenTransition:
    """A health event that the log has. `failure` is the game's last failure, for the kind of it."""

    event: HealthEvent
    endpoint: Endpoint | None
    failure: Failed | None


Note = PassedTick | FailedProbe | SeenTransition


class Notes:
    """Notes that wait to be sent. Where there are too many the oldest give way; `lost` counts them."""

    def __init__(self, most: int = MOST_NOTES) -> None:
        self.lost = 0
        self._waiting: deque[Note] = deque(maxlen=most)

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, note: Note) -> None:
        self.lost += len(self._waiting) == self._waiting.maxlen
        self._waiting.append(note)

    def taken(self) -> list[Note]:
        """All that wait, the oldest first; they wait no more."""
        notes = list(self._waiting)
        self._waiting.clear()
        return notes


def now_ns() -> int:
    """Wall time in nanoseconds since 1970."""
    return time.time_ns()
