"""Why a game stands as it does, and what would change it, in a paragraph for whoever asks."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from healthprobe.domain.explanation import Case, Rule, explanation
from healthprobe.domain.fleet_status import Condition

RULE = Rule(interval=5.0, timeout=2.0, failures=3)


def test_a_game_that_is_down_is_told_with_the_time_the_error_and_what_ends_it() -> None:
    outcomes = ["healthy", *["status"] * 7]
    case = Case("go-1", Condition.DOWN, RULE, 7, "unexpected status 503", 252.0, last_outcomes=outcomes)
    assert explanation(case) == (
        "go-1 is down for 4m12s: 7 probes in a row failed, the last with “unexpected status 503”. "
        "Of its last 8 probes 1 were healthy. "
        "It is asked every 5s and has 2s to answer 200; 3 failures in a row are a probe_failed. "
        "One answer with 200 ends the incident: a probe_recovered."
    )


def test_one_whose_event_waits_for_the_log_says_so() -> None:
    told = explanation(Case("go-1", Condition.DOWN, RULE, 3, in_log=False))
    assert "Its probe_failed is decided and waits for the log." in told


def test_a_game_that_failed_less_often_says_how_much_is_missing() -> None:
    told = explanation(Case("go-1", Condition.FAILING, RULE, 1, "connection refused"))
    assert told.startswith("go-1 is not down: its last probe failed, the last with “connection refused”, and 2 more")
    assert explanation(Case("go-1", Condition.FAILING, RULE, 2)).startswith(
        "go-1 is not down: its last 2 probes failed, and one more failure in a row would be told."
    )


def test_a_threshold_of_one_is_told_as_one() -> None:
    assert "one failure is a probe_failed" in explanation(Case("go-1", Condition.HEALTHY, Rule(5, 2, 1)))


def test_what_told_nothing_of_the_engine_is_told_apart() -> None:
    told = explanation(Case("go-1", Condition.HEALTHY, RULE, last_outcomes=["healthy", "inconclusive"]))
    assert "Of its last 2 probes 1 were healthy, and 1 told nothing of it." in told


@given(
    condition=st.sampled_from(Condition),
    count=st.integers(0, 1000),
    error=st.none() | st.text(max_size=50),
    seconds=st.none() | st.floats(0, 1e8),
    outcomes=st.lists(st.sampled_from(["healthy", "timeout", "inconclusive"]), max_size=100),
)
def test_there_is_a_paragraph_for_every_case(
    *, condition: Condition, count: int, error: str | None, seconds: float | None, outcomes: list[str]
) -> None:
    told = explanation(Case("go-1", condition, RULE, count, error, seconds, last_outcomes=outcomes))
    assert told.startswith("go-1 ")
    assert told.endswith(".")
    assert RULE.told in told


def test_a_game_that_fails_often_enough_and_is_silenced_or_held_says_why_that_is_not_told() -> None:
    until = datetime(2026, 11, 25, 14, 0, tzinfo=UTC)
    silenced = Case(
        "go-1", Condition.FAILING, RULE, 7, "connection refused", silenced_until=until, silenced_why="new map"
    )
    assert explanation(silenced) == (
        "go-1 fails: its last 7 probes failed, the last with “connection refused”. "
        "That is not told, for it is silenced. "
        f"{RULE.told} One answer with 200 sets the count back, and nothing is told. "
        "It is silenced until 2026-11-25 14:00:00 UTC (new map): nothing of it is told before."
    )
    held = Case("go-1", Condition.FAILING, RULE, 3, "connection refused")
    assert "That is not told, for most of the fleet failed at once, and it is held." in explanation(held)


def test_rules_of_its_own_are_told_with_it() -> None:
    rule = Rule(5.0, 2.0, 3, successes=2, confirm=0.25, steady=900.0, plain=False)
    told = explanation(Case("go-1", Condition.DOWN, rule, 5))
    assert "has 2s to answer as its settings say; 3 failures in a row are a probe_failed." in told
    assert "After a first failure it is asked again every 0.25s." in told
    assert "2 answers in a row as its settings say end the incident: a probe_recovered." in told
    flapping = explanation(Case("go-1", Condition.DOWN, rule, 5, flapping=True))
    assert "its incident lasts until it has answered for 15m00s without a failure." in flapping
