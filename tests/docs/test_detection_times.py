"""The arithmetic of detection times agrees with a simulation that draws outcomes one by one."""

from __future__ import annotations

import doctest
from collections.abc import Iterator
from datetime import UTC, datetime
from random import Random

import pytest
from benchmarks import detection_times
from benchmarks.detection_times import DAY, Detection
from hypothesis import given
from hypothesis import strategies as st

from healthprobe.domain.event import HealthEvent, ProbeFailedDetails
from healthprobe.domain.hysteresis import GameState, Standing, after_failure, after_log, after_success
from healthprobe.domain.outcome import Failed

FAILED = Failed(0, "connection refused")


def probes(way: Detection, dies_at: float, phase: float) -> Iterator[tuple[float, bool]]:
    """Yields when each probe of an engine that dies at `dies_at` starts, and whether it fails."""
    tick = phase
    while True:
        fails = tick >= dies_at
        yield tick, fails
        at = tick
        if fails and way.confirm is not None:
            for _ in range(way.failures - 1):
                at += way.probe_duration + way.confirm
                yield at, True
        tick += way.interval


def time_to_detect(way: Detection, dies_at: float, phase: float) -> float:
    in_a_row = 0
    for began, fails in probes(way, dies_at, phase):
        in_a_row = in_a_row + 1 if fails else 0
        if in_a_row == way.failures:
            return began + way.probe_duration - dies_at
    raise AssertionError("the probes never end")


WAYS = [
    Detection(5.0, 3),
    Detection(5.0, 3, confirm=0.25),
    Detection(5.0, 3, probe_duration=2.0),
    Detection(5.0, 3, confirm=0.25, probe_duration=2.0),
    Detection(1.0, 1),
    Detection(30.0, 2, confirm=1.0),
]


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_worst_and_mean_agree_with_ten_thousand_engines_that_die_at_random_moments(way: Detection) -> None:
    random = Random(20261125)
    times = [
        time_to_detect(way, random.uniform(0.0, 10 * way.interval), random.uniform(0.0, way.interval))
        for _ in range(10_000)
    ]
    assert max(times) <= way.worst + 1e-9
    assert max(times) >= way.worst - 0.01 * way.interval
    assert sum(times) / len(times) == pytest.approx(way.mean, abs=0.02 * way.interval)


@pytest.mark.parametrize("loss", [0.1, 0.3, 0.5])
@pytest.mark.parametrize("way", [Detection(5.0, 3), Detection(5.0, 3, confirm=0.25)], ids=str)
def test_false_alarms_agree_with_the_real_rules_over_many_ticks(way: Detection, loss: float) -> None:
    """The real rules judge a healthy engine with lost probes; an incident ends at the next success."""
    random, ticks, alarms = Random(7), 200_000, 0
    state: GameState | None = None
    for _ in range(ticks):
        for attempt in range(way.failures if way.confirm is not None else 1):
            lost = random.random() < loss
            was_up = state is None or state.standing is Standing.CLOSED
            if attempt and (not lost or not was_up):
                state = state if not was_up else after_success(state)
                break
            state = after_failure(state, FAILED, "c", way.failures) if lost else after_success(state)
            if state is not None and state.pending is not None:
                alarms += isinstance(state.pending, ProbeFailedDetails)
                state = after_log(state, _event(state))
            if not lost:
                break
    a_day = alarms / (ticks * way.interval) * DAY
    assert a_day == pytest.approx(way.false_alarms(loss), rel=0.12)


def _event(state: GameState) -> HealthEvent:
    assert state.pending is not None
    return HealthEvent(1, "game", "c", datetime(2026, 11, 25, tzinfo=UTC), state.pending)


@given(st.floats(0.1, 600.0), st.integers(1, 10), st.one_of(st.none(), st.floats(0.01, 1.0)), st.floats(0.0, 1.0))
def test_confirmation_is_never_slower_if_it_is_shorter_than_the_interval(
    interval: float, failures: int, confirm: float | None, duration: float
) -> None:
    plain, confirmed = (Detection(interval, failures, way, duration) for way in (None, confirm))
    assert plain.mean <= plain.worst
    if confirm is not None and confirm + duration <= interval:
        assert confirmed.worst <= plain.worst
        assert confirmed.longest_harmless_outage <= plain.longest_harmless_outage


def test_without_loss_there_is_no_false_alarm_and_more_loss_never_means_fewer() -> None:
    for way in WAYS[:2]:
        rates = [way.false_alarms(loss / 100) for loss in range(51)]
        assert rates[0] == 0.0
        assert rates == sorted(rates)


def test_the_examples_in_the_docstrings_are_true() -> None:
    results = doctest.testmod(detection_times)
    assert results.attempted > 0
    assert results.failed == 0
