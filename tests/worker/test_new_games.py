"""Where a store notifies of changes, a game that starts is probed at once, one that stops no more."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from healthprobe.domain.outcome import HEALTHY
from healthprobe.domain.schedule import phase_fraction, spread_window
from healthprobe.testing.prober import SILENT, UNAVAILABLE, Answer, Late
from healthprobe.testing.stage import Stage, game, run_for
from healthprobe.worker.worker import Worker


def began(stage: Stage, game_id: str) -> list[float]:
    return [probe.began for probe in stage.prober.probes if probe.game_id == game_id]


async def run_and_edit(
    stage: Stage, at: float, *edits: tuple[str, str], seconds: float = 20.0, **settings: int
) -> None:
    """Run a worker, edit the store at `at` seconds by (`put` or `remove`, game id), and notify the worker."""
    worker = Worker(**stage.arguments(**settings))
    running = asyncio.ensure_future(run_for(seconds, worker.run()))
    await asyncio.sleep(at)
    for edit, game_id in edits:
        if edit == "put":
            stage.records.put(game(game_id, container=f"c{at}"))
        else:
            stage.records.remove(game_id)
        worker.refresh()
    await running


@pytest.mark.parametrize("at", [5.02, 6.4, 7.95, 9.9])
async def test_a_game_that_starts_is_probed_at_once_wherever_in_a_tick_that_is(at: float) -> None:
    stage = Stage(a=HEALTHY)
    await run_and_edit(stage, at, ("put", "b"))
    assert at <= began(stage, "b")[0] < at + 0.2


async def test_the_first_game_of_all_is_probed_at_once_too() -> None:
    stage = Stage()
    await run_and_edit(stage, 6.4, ("put", "b"))
    assert 6.4 <= began(stage, "b")[0] < 6.6


@pytest.mark.parametrize("at", [5.02, 6.4, 7.95, 9.9])
async def test_after_that_it_has_its_turn_at_its_phase_and_never_two_within_half_an_interval(at: float) -> None:
    phase = spread_window(5.0, 2.0).phase(phase_fraction("b"))
    stage = Stage(a=HEALTHY)
    await run_and_edit(stage, at, ("put", "b"), seconds=30.0)
    first, second, *others = began(stage, "b")
    assert second - first >= 2.5
    for turn in (second, *others):
        assert abs(turn % 5.0 - phase) < 0.05


async def test_a_game_that_stops_is_not_probed_again() -> None:
    phase = spread_window(5.0, 2.0).phase(phase_fraction("a"))
    stage = Stage(a=HEALTHY, b=HEALTHY)
    await run_and_edit(stage, 5.0 + phase - 0.3, ("remove", "a"))
    assert max(began(stage, "a")) < 5.0
    assert max(began(stage, "b")) > 15.0


async def test_what_a_probe_finds_after_its_game_has_stopped_is_no_event() -> None:
    phase = spread_window(5.0, 2.0).phase(phase_fraction("a"))
    stage = Stage(a=[Late(1.0, UNAVAILABLE)], b=HEALTHY)
    await run_and_edit(stage, phase + 0.5, ("remove", "a"), failures_threshold=1)
    assert began(stage, "a")
    assert stage.log.events == []


async def test_a_game_that_restarts_is_asked_for_its_new_container_at_once() -> None:
    stage = Stage(a=HEALTHY)
    await run_and_edit(stage, 9.0, ("put", "a"))
    targets = [probe.target for probe in stage.prober.probes if 9.0 <= probe.began < 9.2]
    assert len(targets) == 1


async def test_newcomers_that_hang_delay_no_other() -> None:
    answers: dict[str, Answer] = {f"g{number}": HEALTHY for number in range(50)}
    stage = Stage(**answers)
    newcomers = [f"new{number}" for number in range(100)]
    for game_id in newcomers:
        stage.prober.script(game_id, SILENT)
    await run_and_edit(stage, 4.9, *(("put", game_id) for game_id in newcomers), max_concurrency=1000)
    assert all(4.9 <= began(stage, game_id)[0] < 9.0 for game_id in newcomers)
    for number in range(50):
        phase = spread_window(5.0, 2.0).phase(phase_fraction(f"g{number}"))
        assert all(abs(turn % 5.0 - phase) < 0.05 for turn in began(stage, f"g{number}"))


async def test_a_newcomer_that_hangs_keeps_none_waiting_that_starts_after_it() -> None:
    stage = Stage(a=HEALTHY)
    stage.prober.script("slow", SILENT)
    worker = Worker(**stage.arguments())
    running = asyncio.ensure_future(run_for(20.0, worker.run()))
    await asyncio.sleep(6.4)
    for game_id in ("slow", "b"):
        stage.records.put(game(game_id))
        worker.refresh()
        await asyncio.sleep(0.3)
    await running
    assert 6.7 <= began(stage, "b")[0] < 6.9


async def test_where_very_many_newcomers_hang_none_is_asked_twice_within_half_an_interval() -> None:
    stage = Stage(a=HEALTHY)
    newcomers = [f"new{number}" for number in range(400)]
    for game_id in newcomers:
        stage.prober.script(game_id, SILENT)
    await run_and_edit(stage, 6.0, *(("put", game_id) for game_id in newcomers), seconds=40.0, max_concurrency=1000)
    for game_id in newcomers:
        turns = began(stage, game_id)
        assert turns[0] < 6.0 + 2.5 + 5.0
        assert min(later - sooner for sooner, later in pairwise(turns)) > 2.4


async def test_a_newcomer_that_fails_is_published_after_as_many_failures_as_any_other() -> None:
    stage = Stage(a=HEALTHY, b=UNAVAILABLE)
    stage.records.remove("b")
    await run_and_edit(stage, 7.0, ("put", "b"), seconds=30.0)
    assert stage.story == [("b", "probe_failed", 3)]
    assert stage.log.events[0].occurred_at.second >= 7 + 2 * 2.5


@pytest.mark.parametrize("others", [{}, {"a": HEALTHY}], ids=["the first of all", "one more"])
async def test_with_a_threshold_of_one_the_first_probe_of_a_newcomer_publishes(others: dict[str, Answer]) -> None:
    stage = Stage(b=UNAVAILABLE, **others)
    stage.log.delay = 0.05
    stage.records.remove("b")
    await run_and_edit(stage, 6.4, ("put", "b"), seconds=6.8, failures_threshold=1)
    assert stage.story == [("b", "probe_failed", 1)]


async def test_a_newcomer_does_not_wait_long_for_a_log_that_is_silent() -> None:
    stage = Stage(a=HEALTHY)
    stage.log.delay = 60.0
    await run_and_edit(stage, 6.4, ("put", "b"))
    assert 6.4 <= began(stage, "b")[0] < 7.0


async def test_games_that_start_one_after_the_other_do_not_wait_for_each_other_when_the_log_is_slow() -> None:
    stage = Stage(a=HEALTHY)
    worker = Worker(**stage.arguments())
    running = asyncio.ensure_future(run_for(30.0, worker.run()))
    await asyncio.sleep(6.0)
    stage.log.delay = 0.3
    put_at: dict[str, float] = {}
    for number in range(20):
        put_at[f"new{number}"] = asyncio.get_running_loop().time()
        stage.records.put(game(f"new{number}"))
        worker.refresh()
        await asyncio.sleep(0.47)
    await running
    assert all(began(stage, game_id)[0] < at + 1.0 for game_id, at in put_at.items())


async def test_a_store_that_changes_all_the_time_is_listed_a_few_times_a_second() -> None:
    stage = Stage(a=HEALTHY)
    worker = Worker(**stage.arguments())
    running = asyncio.ensure_future(run_for(10.0, worker.run()))
    for _ in range(900):
        await asyncio.sleep(0.01)
        worker.refresh()
    await running
    assert 40 <= len(stage.records.listed_at) <= 110
