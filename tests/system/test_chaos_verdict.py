"""The verdict of the proof by fault: it finds every kind of difference, and none where there is none."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from chaos.alert_receivers import differences_of_alerts
from chaos.consumers import Consumer
from chaos.form import SHORT
from chaos.oracle import Oracle
from chaos.report import page, report
from chaos.verdict import Row, Verdict, breaks_of, judged

Events = list[dict[str, Any]]

HOUR = 3600.0


def event(
    game_id: str, sequence: int, *, status: int | None = None, ahead: float = 0.0, **changed: Any
) -> dict[str, Any]:
    """An event seen now, by a clock that is `ahead` by so many seconds; a probe_failed where it has a `status`."""
    return {
        "id": f"{game_id}:{sequence}",
        "sequence": sequence,
        "game_id": game_id,
        "container_id": f"container-of-{game_id}",
        "event_type": "probe_recovered" if status is None else "probe_failed",
        "occurred_at": (datetime.now(UTC) + timedelta(seconds=ahead)).isoformat(),
        "details": (
            {"prior_failure_count": 2}
            if status is None
            else {"consecutive_failures": 2, "last_status": status, "last_error": "…"}
        ),
        **changed,
    }


@pytest.fixture
def oracle() -> Oracle:
    """Of one game that failed with 503 and recovered, and of another that crashed."""
    oracle = Oracle()
    oracle.engine_changes("game-1", 503)
    oracle.engine_changes("game-2", "crash")
    return oracle


@pytest.fixture
def log(oracle: Oracle) -> Events:
    """The events of these."""
    failed = [event("game-1", 1, status=503), event("game-2", 1, status=0)]
    oracle.engine_changes("game-1", 200)
    return [*failed, event("game-1", 2)]


def verdict(oracle: Oracle, log: Events, *delivered: Events) -> Verdict:
    consumers = []
    for number, events in enumerate(delivered):
        consumers.append(Consumer(f"consumer-{number}"))
        for each in events:
            consumers[-1].receive(each)
    return judged(oracle.expected(), {}, log, consumers)


def test_a_log_that_is_what_the_engines_did_holds(oracle: Oracle, log: Events) -> None:
    assert verdict(oracle, log, log, log) == Verdict(0, 0, ())


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_an_event_that_the_log_lacks_is_lost(oracle: Oracle, log: Events, missing: int) -> None:
    del log[missing]
    found = verdict(oracle, log)
    assert (found.lost, found.duplicated) == (1, 0)
    assert found.differences


def test_an_event_that_stands_twice_is_found(oracle: Oracle, log: Events) -> None:
    found = verdict(oracle, [*log, log[-1]])
    assert (found.lost, found.duplicated) == (0, 1)
    assert "log: game-1:2 stands where game-1:3 belongs" in found.differences


def test_an_event_that_no_engine_made_is_found(oracle: Oracle, log: Events) -> None:
    found = verdict(oracle, [*log, event("game-3", 1, status=503)])
    assert (found.lost, found.duplicated) == (0, 1)
    assert "did not change" in found.differences[0]


@pytest.mark.parametrize(
    ("spoil", "word"),
    [
        (lambda log: log[0]["details"].update(last_status=0), "the last 0"),
        (lambda log: log[0]["details"].update(consecutive_failures=3), "has 3 failures"),
        (lambda log: log[2]["details"].update(prior_failure_count=1), "an incident of 1 failures"),
        (lambda log: log[1].update(container_id="another"), "is of another"),
        (lambda log: log[1].update(event_type="probe_recovered"), "not a probe_failed"),
        (lambda log: log[1].update(occurred_at="2026-11-23T17:00:00.123456Z"), "not when its engine changed"),
        (lambda log: log[2].update(occurred_at=log[0]["occurred_at"]), "not when its engine changed"),
        (lambda log: log[2].update(sequence=3), "stands where"),
        (lambda log: log.reverse(), "stands where"),
    ],
)
def test_whatever_differs_in_an_event_is_found(
    oracle: Oracle, log: Events, spoil: Callable[[Events], None], word: str
) -> None:
    spoil(log)
    assert word in " ".join(verdict(oracle, log).differences)


def test_events_before_the_row_are_judged_no_more(oracle: Oracle, log: Events) -> None:
    earlier = [event("game-2", 1, status=429), event("game-2", 2)]
    log[1] = event("game-2", 3, status=0)
    assert judged(oracle.expected(), {"game-2": 2}, [*earlier, *log], []) == Verdict(0, 0, ())


def test_a_clock_that_is_stepped_is_followed_by_the_events_and_by_nothing_else() -> None:
    oracle = Oracle()
    oracle.clock_steps(HOUR)
    oracle.engine_changes("game-1", 503)
    assert not verdict(oracle, [event("game-1", 1, status=503, ahead=HOUR)]).differences
    assert verdict(oracle, [event("game-1", 1, status=503, ahead=-HOUR)]).differences


def test_an_event_around_a_step_may_have_the_time_of_either_clock() -> None:
    oracle = Oracle()
    oracle.engine_changes("game-1", 503)
    oracle.clock_steps(HOUR)
    assert not verdict(oracle, [event("game-1", 1, status=503)]).differences
    assert not verdict(oracle, [event("game-1", 1, status=503, ahead=HOUR)]).differences


def test_an_event_may_have_the_time_of_any_of_several_clocks() -> None:
    oracle = Oracle(["one", "another"])
    oracle.clock_steps(HOUR, "another")
    oracle.engine_changes("game-1", 503)
    for ahead, differences in ((0.0, 0), (HOUR, 0), (-HOUR, 1)):
        found = verdict(oracle, [event("game-1", 1, status=503, ahead=ahead)])
        assert len(found.differences) == differences


def test_while_the_log_is_down_an_event_may_count_more_failures_than_the_threshold_but_not_fewer() -> None:
    oracle = Oracle(most_failures=math.inf)
    oracle.engine_changes("game-1", 503)
    for failures, differences in ((2, 0), (7, 0), (1, 1)):
        late = event("game-1", 1, status=503)
        late["details"]["consecutive_failures"] = failures
        assert len(verdict(oracle, [late]).differences) == differences


@pytest.mark.parametrize(
    ("log", "breaks"),
    [
        ([event("a", 1, status=503), event("b", 1, status=503), event("a", 2)], 0),
        ([event("a", 1, status=503), event("a", 1, status=503)], 1),
        ([event("a", 1, status=503), event("a", 3)], 1),
        ([event("a", 1, status=503), event("a", 2, status=503)], 1),
        ([event("a", 1)], 1),
        ([event("a", 2, status=503), event("a", 3)], 1),
        ([event("a", 1, status=503), event("a", 2), event("a", 1, status=503), event("a", 2)], 1),
    ],
    ids=["none", "twice", "a gap", "failed twice", "recovered from nothing", "the first is missing", "repeated"],
)
def test_an_event_that_does_not_continue_its_games_is_a_break(log: Events, breaks: int) -> None:
    assert breaks_of(log) == breaks
    assert breaks_of(log, {"a": len(log)}) == 0, "what was there before is none"


def test_deliveries_that_are_repeated_make_no_difference(oracle: Oracle, log: Events) -> None:
    assert not verdict(oracle, log, [log[0], log[0], *log, log[1]]).differences


def test_games_may_pass_each_other_on_the_way_to_a_consumer(oracle: Oracle, log: Events) -> None:
    assert not verdict(oracle, log, [log[1], log[0], log[2]]).differences


@pytest.mark.parametrize(
    ("delivered", "lost", "word"),
    [
        (lambda log: log[:2], 1, "consumer-1: game-1:2 (probe_recovered"),
        (lambda log: [log[2], log[1], log[0]], 0, "consumer-1: got game-1:2"),
        (lambda log: [*log, event("game-3", 1, status=503)], 0, "where the log has nothing"),
        (lambda log: [log[0] | {"container_id": "another"}, *log[1:]], 0, "where the log has game-1:1"),
    ],
    ids=["one is missing", "a game's are swapped", "one was never in the log", "one is altered"],
)
def test_a_consumer_that_has_something_else_is_found(
    oracle: Oracle, log: Events, delivered: Callable[[Events], Events], lost: int, word: str
) -> None:
    found = verdict(oracle, log, log, delivered(log))
    assert found.lost == lost
    assert word in " ".join(found.differences)


def test_a_row_that_does_not_hold_says_so_with_its_first_differences() -> None:
    rows = [Row("calm"), Row("storm", lost=1, differences=tuple(f"difference {number}" for number in range(7)))]
    text = report(rows, SHORT, seed=7)
    assert "| calm | 0 |" in text
    assert "**no**" in text
    assert "storm does not hold:\n\n- difference 0\n" in text
    assert text.endswith("- difference 4\n- and 2 more")
    assert "Seed 7" in text


def test_a_fault_that_may_repeat_nothing_holds_only_where_each_consumer_got_each_event_once() -> None:
    calm = Row("calm", repeated={"redis": 0, "file": 0})
    assert calm.without_repeats() == calm
    found = Row("calm", repeated={"redis": 0, "file": 3}).without_repeats()
    assert found.differences == ("file: 3 repeated deliveries",)
    assert not found.holds


def test_a_row_that_cannot_be_performed_says_so_plainly() -> None:
    text = report([Row("full disk", skipped=True, notes=("no disk can be mounted here",))], SHORT, seed=7)
    assert "| full disk |" + " - |" * 12 + " not run here |" in text
    assert "full disk: no disk can be mounted here" in text


def test_the_page_shows_by_what_command_and_on_what_machine_it_came_about() -> None:
    shown = page("python -m chaos --seed 7", {"processor": "two cores"}, report([Row("calm")], SHORT, seed=7))
    assert shown.startswith("# Proof by fault\n")
    assert "    python -m chaos --seed 7\n\n- processor: two cores\n" in shown
    assert "| calm | 0 |" in shown


@pytest.mark.parametrize(
    ("firing", "fired", "difference"),
    [
        (["game-1"], ["game-1"], "no alert fires for game-2, whose incident is open"),
        (["game-1", "game-2", "game-3"], ["game-3"], "an alert fires for game-3, which answers"),
        (["game-1", "game-2", "game-2"], ["game-2"], "2 alerts fire for game-2"),
        (["game-1", "game-2"], ["game-9"], "an alert fired for game-9, which never failed"),
        (None, [], "does not answer"),
    ],
)
def test_an_alert_that_is_missing_left_open_or_false_is_a_difference(
    firing: list[str] | None, fired: list[str], difference: str
) -> None:
    found = differences_of_alerts("pagerduty", firing, fired, {"game-1", "game-2"}, {"game-1", "game-2", "game-3"})
    assert found == [f"pagerduty: {difference}"]


def test_alerts_that_are_those_of_the_incidents_make_no_difference() -> None:
    assert differences_of_alerts("pagerduty", ["game-2"], ["game-1", "game-2"], {"game-2"}, {"game-1", "game-2"}) == []
