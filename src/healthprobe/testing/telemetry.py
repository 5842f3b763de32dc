"""Telemetry that keeps what a worker reports, for tests to read."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from healthprobe.domain.event import EventType
from healthprobe.domain.outcome import ProbeOutcome


@dataclass(frozen=True, slots=True)
class Tick:
    """One reported tick: its games, its duration in seconds, and the ticks that were dropped because of it."""

    games: int
    duration: float
    dropped: int


class CountingTelemetry:
    """A Telemetry that keeps every report. While `broken` is set, each raises a RuntimeError, as a bug would."""

    def __init__(self) -> None:
        self.broken = False
        self.outcomes: list[ProbeOutcome] = []
        self.durations: list[float] = []
        self.lateness: list[float] = []
        self.health_events: Counter[EventType] = Counter()
        self.ticks: list[Tick] = []
        self.appends: list[tuple[int, float]] = []
        self.listing_errors = 0
        self.skipped_records = 0
        self.lag: dict[str, int] = {}
        self.parked: Counter[str] = Counter()
        self.altered: Counter[str] = Counter()
        self.deliveries: list[tuple[str, str | None, str]] = []

    @property
    def dropped_ticks(self) -> int:
        return sum(tick.dropped for tick in self.ticks)

    def outcomes_of(self, kind: type[ProbeOutcome]) -> int:
        """Returns how many probes had an outcome of this kind."""
        return sum(isinstance(outcome, kind) for outcome in self.outcomes)

    def record_probe(self, game_id: str, outcome: ProbeOutcome, duration: float, lateness: float) -> None:  # noqa: ARG002
        self._raise_if_broken()
        self.outcomes.append(outcome)
        self.durations.append(duration)
        self.lateness.append(lateness)

    def record_health_event(self, event_type: EventType) -> None:
        self._raise_if_broken()
        self.health_events[event_type] += 1

    def record_append(self, events: int, duration: float) -> None:
        self._raise_if_broken()
        self.appends.append((events, duration))

    def record_tick(self, games: int, duration: float, dropped: int) -> None:
        self._raise_if_broken()
        self.ticks.append(Tick(games, duration, dropped))

    def record_listing_error(self) -> None:
        self._raise_if_broken()
        self.listing_errors += 1

    def record_skipped_records(self, count: int) -> None:
        self._raise_if_broken()
        self.skipped_records = count

    def record_lag(self, publisher: str, events: int) -> None:
        self._raise_if_broken()
        self.lag[publisher] = events

    def record_parked(self, publisher: str) -> None:
        self._raise_if_broken()
        self.parked[publisher] += 1

    def record_altered(self, publisher: str) -> None:
        self._raise_if_broken()
        self.altered[publisher] += 1

    def record_delivery(self, publisher: str, error: str | None, code: str = "") -> None:
        self._raise_if_broken()
        self.deliveries.append((publisher, error, code))

    def _raise_if_broken(self) -> None:
        if self.broken:
            raise RuntimeError("a bug, switched on for this test")
