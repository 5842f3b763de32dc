"""Span records: taken on the loop, cheaply, and made into spans on another thread."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import getrandbits

from healthprobe.domain.endpoint import Endpoint
from healthprobe.domain.event import EventType, HealthEvent
from healthprobe.domain.outcome import HEALTHY, Failed, ProbeOutcome
from healthprobe.ports import Telemetry

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


_MOST_SPANS = 1_000_000
"""After so many games, most of them gone by then, their span ids are drawn anew."""


class TracingTelemetry:
    """A Telemetry before another. A probe that succeeds costs one call and one comparison more.

    `endpoint_of` tells where the engine of a game is, once somebody knows it. `events` is how many health events the
    log took. A prober that puts `traceparent` into its requests lets engines tell of the very span that a failure has.
    """

    def __init__(self, telemetry: Telemetry, notes: Notes, clock: Callable[[], int] = now_ns) -> None:
        self.endpoint_of: Callable[[str], Endpoint | None] = lambda _: None
        self.events = 0
        self.record_listing_error = telemetry.record_listing_error
        self.record_skipped_records = telemetry.record_skipped_records
        self.record_lag = telemetry.record_lag
        self.record_parked = telemetry.record_parked
        self.record_append = telemetry.record_append
        self._telemetry = telemetry
        self._record_probe = telemetry.record_probe
        self._notes = notes
        self._clock = clock
        self._spans: dict[str, tuple[int, bytes]] = {}
        self._begin_tick()

    def traceparent(self, game_id: str) -> bytes:
        """The header line that names the span of a probe (W3C Trace Context), and the empty one that ends the head.

        Each tick has a trace of its own and asks each game once, so that a game may keep one span id for ever: nothing
        is drawn or written out for a probe. One that is judged after its tick has ended is told of in the next.
        """
        known = self._spans.get(game_id)
        return self._opening + (known or self._span_of(game_id))[1]

    def record_probe(self, game_id: str, outcome: ProbeOutcome, duration: float, lateness: float) -> None:
        self._record_probe(game_id, outcome, duration, lateness)
        if outcome is not HEALTHY and isinstance(outcome, Failed):
            place = Place(self._tick.trace_id, (self._spans.get(game_id) or self._span_of(game_id))[0])
            endpoint = self.endpoint_of(game_id)
            self._notes.add(
                FailedProbe(self._tick, place, self._clock(), duration, lateness, game_id, endpoint, outcome)
            )

    def record_health_event(self, event_type: EventType) -> None:
        self._telemetry.record_health_event(event_type)
        self.events += 1

    def record_tick(self, games: int, duration: float, dropped: int) -> None:
        self._telemetry.record_tick(games, duration, dropped)
        if dropped and not duration:  # one that was dropped before it began: the one under way goes on
            return
        self._notes.add(PassedTick(self._tick, self._clock(), duration, games, dropped))
        self._begin_tick()

    def _begin_tick(self) -> None:
        self._tick = Place()
        self._opening = b"traceparent: 00-%032x-" % self._tick.trace_id
        if len(self._spans) > _MOST_SPANS:
            self._spans.clear()

    def _span_of(self, game_id: str) -> tuple[int, bytes]:
        span_id = self._tick.child().span_id
        known = self._spans[game_id] = (span_id, b"%016x-01\r\n\r\n" % span_id)
        return known
