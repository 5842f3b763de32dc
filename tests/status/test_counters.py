"""The counters count everything that a worker reports, and their quantiles are close to exact."""

from __future__ import annotations

import pytest

from healthprobe.domain.event import EventType
from healthprobe.domain.outcome import HEALTHY, Failed, Healthy, Inconclusive
from healthprobe.status.counters import BOUNDS, Counters, Histogram


def test_every_kind_of_outcome_is_counted_separately() -> None:
    counters = Counters()
    for outcome in (HEALTHY, Healthy(), Failed(503, "unexpected status 503"), Inconclusive("too many open files")):
        counters.record_probe("game-7", outcome, duration=0.002, lateness=0.001)
    assert (counters.probes, counters.healthy, counters.failed) == (4, 2, 1)
    assert counters.inconclusive == {"too many open files": 1}


@pytest.mark.proves("causes-bounded")
def test_causes_that_never_repeat_do_not_grow_the_counters() -> None:
    counters = Counters()
    for number in range(1000):
        counters.record_probe("game-7", Inconclusive(f"bug number {number}"), duration=0.0, lateness=0.0)
    assert counters.probes == 1000
    assert len(counters.inconclusive) <= 17


def test_events_ticks_and_listing_errors_appear_in_the_summary() -> None:
    counters = Counters()
    counters.record_health_event(EventType.PROBE_FAILED)
    counters.record_tick(games=12, duration=0.9, dropped=2)
    counters.record_tick(games=11, duration=0.1, dropped=0)
    counters.record_listing_error()
    summary = counters.summary()
    figures = {
        key: summary[key]
        for key in ("probe_failed", "probe_recovered", "games", "ticks", "dropped_ticks", "listing_errors")
    }
    assert figures == {
        "probe_failed": 1,
        "probe_recovered": 0,
        "games": 11,
        "ticks": 2,
        "dropped_ticks": 2,
        "listing_errors": 1,
    }


def test_a_run_without_probes_has_no_quantiles() -> None:
    assert Counters().summary()["probe_ms_p99"] is None


def test_a_quantile_is_at_most_an_eighth_too_high() -> None:
    histogram = Histogram()
    for milliseconds in range(1, 1001):
        histogram.record(milliseconds / 1000)
    median, last = histogram.quantile(0.5), histogram.quantile(0.99)
    assert median is not None
    assert last is not None
    assert 0.5 <= median <= 0.5 * 1.125
    assert 0.99 <= last <= 0.99 * 1.125


def test_times_above_the_last_bound_are_counted() -> None:
    histogram = Histogram()
    histogram.record(BOUNDS[-1] * 2)
    histogram.record(-0.001)
    assert sum(histogram.counts) == 2
    assert histogram.quantile(1.0) == BOUNDS[-1]
