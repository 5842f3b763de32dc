"""A game of which no probe has told anything is unknown, and never counts as healthy."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from tests.telemetry.metrics.monitored_worker import MonitoredWorker, labels

from healthprobe.domain.fleet_status import Condition, Scope
from healthprobe.domain.outcome import HEALTHY, Inconclusive
from healthprobe.testing.prober import UNAVAILABLE, Answer
from healthprobe.testing.stage import game

OUT_OF_PORTS = Inconclusive("no free local port")
PROHIBITED = Inconclusive("the prober's machine prohibits the connection", no_route=True)
BOUND = 10


async def after(monitored: MonitoredWorker, intervals: int) -> dict[str, Condition]:
    """Makes a tick an interval and returns the condition of each game then."""
    for _ in range(intervals):
        await asyncio.sleep(5.0)
        await monitored.worker.tick()
    await monitored.status.refresh()
    cells = monitored.status.cells
    return {each.game_id: condition for each in cells.games if each and (condition := cells.condition(each.game_id))}


async def test_a_game_that_never_had_a_conclusive_outcome_is_unknown_from_its_first_probe_on() -> None:
    monitored = MonitoredWorker({"a": PROHIBITED, "b": HEALTHY})
    assert await after(monitored, 1) == {"a": Condition.UNKNOWN, "b": Condition.HEALTHY}
    assert await after(monitored, 40) == {"a": Condition.DOWN, "b": Condition.HEALTHY}


async def test_a_game_is_unknown_after_as_many_inconclusive_probes_in_a_row_as_failures_make_it_fail() -> None:
    monitored = MonitoredWorker({"a": [HEALTHY, *[OUT_OF_PORTS] * 4, HEALTHY], "b": HEALTHY, "c": HEALTHY})
    found = [(await after(monitored, 1))["a"] for _ in range(6)]
    healthy, unknown = Condition.HEALTHY, Condition.UNKNOWN
    assert found == [healthy, healthy, healthy, unknown, unknown, healthy]
    assert monitored.stage.story == []


async def test_one_conclusive_outcome_ends_it_a_failure_too() -> None:
    monitored = MonitoredWorker({"a": [*[OUT_OF_PORTS] * 5, UNAVAILABLE], "b": HEALTHY})
    assert (await after(monitored, 5))["a"] is Condition.UNKNOWN
    assert (await after(monitored, 1))["a"] is Condition.FAILING


async def test_a_failing_game_that_is_not_observed_any_more_is_unknown_and_one_that_is_down_stays_down() -> None:
    monitored = MonitoredWorker(
        {"a": [UNAVAILABLE, OUT_OF_PORTS], "b": [UNAVAILABLE] * 3 + [OUT_OF_PORTS], "c": HEALTHY}
    )
    assert (await after(monitored, 1))["a"] is Condition.FAILING
    assert await after(monitored, 12) == {
        "a": Condition.UNKNOWN,
        "b": Condition.DOWN,
        "c": Condition.HEALTHY,
    }


async def test_the_threshold_and_the_interval_of_a_game_of_its_own_hold_for_it() -> None:
    monitored = MonitoredWorker({"a": [HEALTHY, OUT_OF_PORTS], "b": HEALTHY, "c": HEALTHY})
    patient = replace(game("a"), probe='{"failures": 6}')
    monitored.stage.records.replace_all([patient, game("b"), game("c")])
    assert (await after(monitored, 6))["a"] is Condition.HEALTHY
    assert (await after(monitored, 1))["a"] is Condition.UNKNOWN


@pytest.mark.proves("route-own")
async def test_an_engine_without_a_route_while_others_have_one_fails_after_ten_intervals_by_the_usual_count() -> None:
    monitored = MonitoredWorker({"a": [HEALTHY, PROHIBITED], **dict.fromkeys("bcdefg", HEALTHY)})
    assert (await after(monitored, 1 + BOUND))["a"] is Condition.UNKNOWN
    found = [(await after(monitored, 1))["a"] for _ in range(3)]
    assert found == [Condition.FAILING, Condition.FAILING, Condition.DOWN]
    [event] = monitored.stage.log.events
    assert event.details.as_document() == {
        "consecutive_failures": 3, "last_status": 0, "last_error": PROHIBITED.cause,
    }  # fmt: skip


async def test_it_recovers_when_it_answers() -> None:
    monitored = MonitoredWorker({"a": [HEALTHY, *[PROHIBITED] * 20, HEALTHY], "b": HEALTHY})
    assert (await after(monitored, 20))["a"] is Condition.DOWN
    assert (await after(monitored, 2))["a"] is Condition.HEALTHY
    assert [event_type for _, event_type, _ in monitored.stage.story] == ["probe_failed", "probe_recovered"]


@pytest.mark.proves("route-all")
async def test_no_engine_fails_while_most_have_no_route() -> None:
    monitored = MonitoredWorker({**{each: [HEALTHY, PROHIBITED] for each in "abcd"}, **dict.fromkeys("efg", HEALTHY)})
    found = await after(monitored, 40)
    assert {found[each] for each in "abcd"} == {Condition.UNKNOWN}
    assert monitored.stage.story == []


async def test_an_engine_that_was_blamed_stops_failing_when_all_have_no_route() -> None:
    lost: list[Answer] = [*[HEALTHY] * 12, PROHIBITED]
    monitored = MonitoredWorker({"a": [HEALTHY, PROHIBITED], **dict.fromkeys("bcdefg", lost)})
    assert (await after(monitored, 12))["a"] is Condition.FAILING
    found = await after(monitored, 30)
    assert set(found.values()) == {Condition.UNKNOWN}
    assert monitored.stage.story == []


async def test_the_only_game_without_a_route_never_fails() -> None:
    monitored = MonitoredWorker({"a": [HEALTHY, PROHIBITED]})
    assert await after(monitored, 40) == {"a": Condition.UNKNOWN}


async def test_another_fault_of_ours_never_becomes_a_failure() -> None:
    monitored = MonitoredWorker({"a": [HEALTHY, OUT_OF_PORTS], **dict.fromkeys("bcdefg", HEALTHY)})
    assert (await after(monitored, 60))["a"] is Condition.UNKNOWN
    assert monitored.stage.story == []


async def test_a_game_with_a_new_endpoint_has_ten_intervals_of_its_own() -> None:
    monitored = MonitoredWorker({"a": [HEALTHY, PROHIBITED], **dict.fromkeys("bcdefg", HEALTHY)})
    await after(monitored, 9)
    moved = [game("a", container="c2"), *map(game, "bcdefg")]
    monitored.stage.records.replace_all(moved)
    assert (await after(monitored, BOUND))["a"] is Condition.UNKNOWN
    assert (await after(monitored, 2))["a"] is Condition.FAILING


async def test_a_game_that_left_and_came_back_is_unknown_until_it_is_probed_again() -> None:
    monitored = MonitoredWorker({"a": HEALTHY, "b": HEALTHY})
    await after(monitored, 1)
    monitored.stage.records.replace_all([game("b")])
    await after(monitored, 1)
    assert not monitored.worker.status.observations.unobserved
    monitored.stage.records.replace_all([game("a"), game("b")])
    await monitored.worker._discovery.update()
    await asyncio.sleep(1.0)
    await monitored.status.refresh()
    assert monitored.status.cells.condition("a") is Condition.UNKNOWN


async def test_nothing_is_kept_of_games_that_are_observed() -> None:
    monitored = MonitoredWorker({"a": HEALTHY, "b": UNAVAILABLE})
    await after(monitored, 4)
    assert not monitored.worker.status.observations.unobserved


async def test_the_prober_says_that_it_knows_nothing_of_most_games_and_why() -> None:
    monitored = MonitoredWorker({"a": [HEALTHY, PROHIBITED], "b": [HEALTHY, PROHIBITED], "c": HEALTHY})
    await after(monitored, 3)
    assert monitored.status.trouble is None
    await after(monitored, 1)
    assert monitored.status.public_trouble == "nothing has been known of 2 of 3 games for 10s"
    assert monitored.status.trouble == f"nothing has been known of 2 of 3 games for 10s: {PROHIBITED.cause}"
    assert monitored.status.diagnosis().scope is Scope.PROBER


async def test_the_summary_names_a_game_of_which_nothing_is_known() -> None:
    monitored = MonitoredWorker({"a": PROHIBITED, "b": HEALTHY, "c": HEALTHY})
    await after(monitored, 1)
    assert (
        monitored.status.diagnosis().summary == f"No engine of 3 is down; nothing is known of 1: a, {PROHIBITED.cause}."
    )


async def test_the_metrics_count_and_name_it() -> None:
    monitored = MonitoredWorker({"a": [HEALTHY, PROHIBITED], "b": HEALTHY})
    await after(monitored, 4)
    series = await monitored.series()
    assert series["healthprobe_games", labels(state="unknown")] == 1
    assert series["healthprobe_games", labels(state="healthy")] == 1
    assert series["healthprobe_game_unknown_seconds", labels(game_id="a", host="127.0.0.1")] == 10


async def test_the_line_once_a_minute_names_a_game() -> None:
    monitored = MonitoredWorker({"a": PROHIBITED, "b": HEALTHY})
    await after(monitored, 1)
    [line] = monitored.stage.lines_of("probe inconclusive")
    assert (line["game_id"], line["err"]) == ("a", PROHIBITED.cause)
