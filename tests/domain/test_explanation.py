"""The explanation of a game's condition, in a paragraph."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from healthprobe.domain.explanation import GameFacts, GameRule, explain
from healthprobe.domain.fleet_status import Condition

RULE = GameRule(interval=5.0, timeout=2.0, failures=3)


def test_a_game_that_is_down_is_explained_with_the_time_the_error_and_what_ends_the_incident() -> None:
    outcomes = ["healthy", *["status"] * 7]
    facts = GameFacts("go-1", Condition.DOWN, RULE, 7, "unexpected status 503", 252.0, last_outcomes=outcomes)
    assert explain(facts) == (
        "go-1 is down for 4m12s: 7 probes in a row failed, the last with “unexpected status 503”. "
        "Of its last 8 probes 1 were healthy. "
        "It is probed every 5s and has 2s to answer 200; 3 failures in a row are a probe_failed. "
        "One answer with 200 ends the incident: a probe_recovered."
    )


def test_a_probe_failed_that_waits_for_the_log_is_mentioned() -> None:
    text = explain(GameFacts("go-1", Condition.DOWN, RULE, 3, in_log=False))
    assert "Its probe_failed is decided and waits for the log." in text


def test_a_failing_game_is_explained_with_the_failures_that_are_missing() -> None:
    text = explain(GameFacts("go-1", Condition.FAILING, RULE, 1, "connection refused"))
    assert text.startswith("go-1 is not down: its last probe failed, the last with “connection refused”, and 2 more")
    assert explain(GameFacts("go-1", Condition.FAILING, RULE, 2)).startswith(
        "go-1 is not down: its last 2 probes failed, and one more failure in a row makes a probe_failed."
    )


def test_a_threshold_of_one_is_written_in_the_singular() -> None:
    assert "one failure is a probe_failed" in explain(GameFacts("go-1", Condition.HEALTHY, GameRule(5, 2, 1)))


def test_inconclusive_outcomes_are_counted_separately() -> None:
    text = explain(GameFacts("go-1", Condition.HEALTHY, RULE, last_outcomes=["healthy", "inconclusive"]))
    assert "Of its last 2 probes 1 were healthy, and 1 inconclusive." in text


@given(
    condition=st.sampled_from(Condition),
    count=st.integers(0, 1000),
    error=st.none() | st.text(max_size=50),
    seconds=st.none() | st.floats(0, 1e8),
    outcomes=st.lists(st.sampled_from(["healthy", "timeout", "inconclusive"]), max_size=100),
)
def test_every_combination_of_facts_has_an_explanation(
    *, condition: Condition, count: int, error: str | None, seconds: float | None, outcomes: list[str]
) -> None:
    text = explain(GameFacts("go-1", condition, RULE, count, error, seconds, last_outcomes=outcomes))
    assert text.startswith("go-1 ")
    assert text.endswith(".")
    assert RULE.description in text


def test_a_silence_is_explained_with_who_and_why() -> None:
    until = datetime(2026, 11, 25, 14, 0, tzinfo=UTC)
    silenced = GameFacts("go-1", Condition.DOWN, RULE, 7, silenced_until=until, silenced_why="new map")
    assert explain(silenced).endswith(
        " It is silenced until 2026-11-25 14:00:00 UTC (new map): no alarm is raised before then."
    )
    by_anna = explain(replace(silenced, silenced_by="anna@ops", silenced_why=""))
    assert "It is silenced by anna@ops until 2026-11-25 14:00:00 UTC: no alarm" in by_anna


def test_a_probe_failed_that_is_held_back_is_explained_with_the_reason() -> None:
    held = GameFacts("go-1", Condition.FAILING, RULE, 3, "connection refused")
    assert "Its probe_failed is held back because most of the fleet failed at once." in explain(held)


def test_the_settings_of_a_game_are_explained() -> None:
    rule = GameRule(5.0, 2.0, 3, successes=2, confirm=0.25, steady=900.0, expects_200=False)
    text = explain(GameFacts("go-1", Condition.DOWN, rule, 5))
    assert "has 2s to answer as its settings say; 3 failures in a row are a probe_failed." in text
    assert "After a first failure it is probed again every 0.25s." in text
    assert "2 answers in a row as its settings say end the incident: a probe_recovered." in text
    flapping = explain(GameFacts("go-1", Condition.DOWN, rule, 5, flapping=True))
    assert "its incident lasts until it has been healthy for 15m00s without a failure." in flapping
