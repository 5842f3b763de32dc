"""The counters of a run, as plain integers: the cheapest Telemetry."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from itertools import pairwise
from operator import mul
from typing import Any

from healthprobe._util.duration import milliseconds
from healthprobe.domain.event import EventType
from healthprobe.domain.outcome import HEALTHY, Failed, FailureKind, Healthy, Inconclusive, ProbeOutcome

_FIRST_BOUND = 50e-6
_BOUND_STEP = 1.125
_BOUND_COUNT = 128

BOUNDS = tuple(_FIRST_BOUND * _BOUND_STEP**step for step in range(_BOUND_COUNT))
"""Upper bounds of the histograms' buckets, in seconds: 50 us to 157 s, each an eighth above the one before."""

_MIDDLES = (_FIRST_BOUND / 2, *((low + high) / 2 for low, high in pairwise(BOUNDS)), BOUNDS[-1])


class Histogram:
    """Counts of times by bucket. A quantile is exact to within an eighth of its value."""

    __slots__ = ("counts",)

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)

    def record(self, seconds: float) -> None:
        self.counts[bisect_left(BOUNDS, seconds)] += 1

    @property
    def estimated_sum(self) -> float:
        """The sum of all times in seconds, as if each lay in the middle of its bucket: exact to within a sixteenth.

        It is computed when read, so that recording a time adds one integer, and it never falls.
        """
        return float(sum(map(mul, self.counts, _MIDDLES)))

    def quantile(self, share: float) -> float | None:
        """Returns the seconds that `share` of all times do not exceed, or None if there are no times yet."""
        total = sum(self.counts)
        if total == 0:
            return None
        seen = 0
        for bound, count in zip(BOUNDS, self.counts, strict=False):
            seen += count
            if seen >= share * total:
                return bound
        return BOUNDS[-1]


_MAX_CAUSES = 16


class Counters:
    """A Telemetry that counts. `record_probe` is on the hot path: it only adds integers."""

    def __init__(self) -> None:
        self.healthy = 0
        self.failures = dict.fromkeys(FailureKind, 0)
        self.inconclusive: dict[str, int] = {}
        self.events = dict.fromkeys(EventType, 0)
        self.games = 0
        self.ticks = 0
        self.last_tick_duration = 0.0
        self.dropped_ticks = 0
        self.listing_errors = 0
        self.skipped_records = 0
        self.lag: dict[str, int] = {}
        self.parked: Counter[str] = Counter()
        self.altered: Counter[str] = Counter()
        self.failing: dict[str, tuple[str, str]] = {}
        """Error and code of each publisher to which delivery fails now."""
        self.durations = Histogram()
        self.lateness = Histogram()
        self.tick_durations = Histogram()
        self.appends = Histogram()
        self._duration_counts = self.durations.counts
        self._lateness_counts = self.lateness.counts

    @property
    def failed(self) -> int:
        return sum(self.failures.values())

    @property
    def probes(self) -> int:
        return self.healthy + self.failed + sum(self.inconclusive.values())

    def record_probe(self, game_id: str, outcome: ProbeOutcome, duration: float, lateness: float) -> None:  # noqa: ARG002
        if outcome is HEALTHY:
            self.healthy += 1
        else:
            self._count_other(outcome)
        self._duration_counts[bisect_left(BOUNDS, duration)] += 1
        self._lateness_counts[bisect_left(BOUNDS, lateness)] += 1

    def record_health_event(self, event_type: EventType) -> None:
        self.events[event_type] += 1

    def record_append(self, events: int, duration: float) -> None:  # noqa: ARG002 - the port's width
        self.appends.record(duration)

    def record_tick(self, games: int, duration: float, dropped: int) -> None:
        self.tick_durations.record(duration)
        self.last_tick_duration = duration
        self.games = games
        self.ticks += 1
        self.dropped_ticks += dropped

    def record_listing_error(self) -> None:
        self.listing_errors += 1

    def record_skipped_records(self, count: int) -> None:
        self.skipped_records = count

    def record_lag(self, publisher: str, events: int) -> None:
        self.lag[publisher] = events

    def record_parked(self, publisher: str) -> None:
        self.parked[publisher] += 1

    def record_altered(self, publisher: str) -> None:
        self.altered[publisher] += 1

    def record_delivery(self, publisher: str, error: str | None, code: str = "") -> None:
        if error is None:
            self.failing.pop(publisher, None)
        else:
            self.failing[publisher] = (error, code)

    def summary(self) -> dict[str, Any]:
        """Returns the figures of the run so far as the keys and values of one log line, times in milliseconds."""
        return {
            "games": self.games,
            "ticks": self.ticks,
            "dropped_ticks": self.dropped_ticks,
            "listing_errors": self.listing_errors,
            "skipped_records": self.skipped_records,
            "probes": self.probes,
            "healthy": self.healthy,
            "failed": self.failed,
            "inconclusive": sum(self.inconclusive.values()),
            **{f"inconclusive[{cause}]": count for cause, count in self.inconclusive.items()},
            **{event_type.value: count for event_type, count in self.events.items()},
            **{f"lag[{publisher}]": events for publisher, events in self.lag.items()},
            **{f"parked[{publisher}]": events for publisher, events in self.parked.items()},
            **{f"altered[{publisher}]": events for publisher, events in self.altered.items()},
            "probe_ms_p50": milliseconds(self.durations.quantile(0.50)),
            "probe_ms_p99": milliseconds(self.durations.quantile(0.99)),
            "late_ms_p50": milliseconds(self.lateness.quantile(0.50)),
            "late_ms_p99": milliseconds(self.lateness.quantile(0.99)),
        }

    def _count_other(self, outcome: ProbeOutcome) -> None:
        match outcome:
            case Failed(kind=kind):
                self.failures[kind] += 1
            case Inconclusive(cause):
                known = cause in self.inconclusive or len(self.inconclusive) < _MAX_CAUSES
                key = cause if known else "other"
                self.inconclusive[key] = self.inconclusive.get(key, 0) + 1
            case Healthy():
                self.healthy += 1
