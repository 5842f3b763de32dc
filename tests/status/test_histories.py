"""The last outcomes of every game are kept in one byte each."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthprobe.domain.outcome import HEALTHY, Failed, FailureKind, Inconclusive, ProbeOutcome
from healthprobe.status.counters import BOUNDS
from healthprobe.status.histories import OUTCOMES_KEPT, Histories

REFUSED = Failed(0, "connection refused", FailureKind.REFUSED)

outcomes = st.sampled_from([HEALTHY, REFUSED, Failed(503, "unexpected status 503"), Inconclusive("no route")])


def word_for(outcome: ProbeOutcome) -> str:
    match outcome:
        case Failed(kind=kind):
            return kind.value
        case Inconclusive():
            return "inconclusive"
        case _:
            return "healthy"


def record(histories: Histories, *given: ProbeOutcome, game_id: str = "game-7", duration: float = 0.003) -> None:
    for outcome in given:
        histories.record_probe(game_id, outcome, duration, 0.0)


@given(given=st.lists(outcomes, max_size=3 * OUTCOMES_KEPT))
def test_the_last_hundred_outcomes_are_kept_in_order(given: Sequence[ProbeOutcome]) -> None:
    histories = Histories()
    record(histories, *given)
    assert [each.outcome for each in histories.outcomes_of("game-7")] == [
        word_for(each) for each in given[-OUTCOMES_KEPT:]
    ]
    assert ("game-7" in histories) == bool(given)


@given(duration=st.floats(1e-6, 500.0))
def test_the_duration_of_a_healthy_probe_is_kept_to_within_an_eighth(duration: float) -> None:
    histories = Histories()
    record(histories, HEALTHY, duration=duration)
    (kept,) = histories.outcomes_of("game-7")
    assert kept.duration is not None
    if BOUNDS[0] < duration < BOUNDS[-1]:
        assert duration <= kept.duration <= duration * 1.13


@pytest.mark.parametrize("kind", list(FailureKind))
def test_every_kind_of_failure_is_kept(kind: FailureKind) -> None:
    histories = Histories()
    record(histories, Failed(0, "something", kind))
    assert [each.outcome for each in histories.outcomes_of("game-7")] == [kind.value]


def test_histories_count_as_counters_do() -> None:
    histories = Histories()
    record(histories, HEALTHY, HEALTHY, REFUSED, Inconclusive("no route"))
    assert (histories.probes, histories.healthy, histories.failed) == (4, 2, 1)
    assert histories.failures[FailureKind.REFUSED] == 1
    assert sum(histories.durations.counts) == sum(histories.lateness.counts) == 4


def test_the_last_failure_is_kept_with_its_error_until_the_game_is_forgotten() -> None:
    histories = Histories()
    record(histories, REFUSED, Failed(503, "unexpected status 503"), HEALTHY)
    last = histories.last_failure_of("game-7")
    assert last is not None
    assert (last.last_status, last.last_error) == (503, "unexpected status 503")
    histories.forget(["game-7", "no-such-game"])
    assert histories.last_failure_of("game-7") is None
    assert histories.outcomes_of("game-7") == []
    assert len(histories) == 0
