"""An engine that was up and fails is probed again at once: published sooner, by the same number of failures."""

from __future__ import annotations

from itertools import pairwise

import pytest

from healthprobe.domain.outcome import HEALTHY, Inconclusive
from healthprobe.domain.policy import Policy
from healthprobe.testing.prober import SILENT, UNAVAILABLE
from healthprobe.testing.stage import Stage, game, run_for, ticks
from healthprobe.worker.worker import Worker

CONFIRM = Policy(confirm=0.25)


def confirming(stage: Stage, **settings: object) -> Worker:
    return Worker(**stage.arguments(policy=CONFIRM, **settings))


async def test_a_dead_engine_is_published_in_the_tick_that_finds_it_dead() -> None:
    stage = Stage(a=[HEALTHY, HEALTHY, UNAVAILABLE])
    await run_for(16.0, confirming(stage).run())
    _, _, first, second, third, *_ = stage.prober.began("a")
    assert second - first == pytest.approx(0.25, abs=0.02)
    assert third - second == pytest.approx(0.25, abs=0.02)
    assert stage.story == [("a", "probe_failed", 3)]
    assert (stage.log.events[0].occurred_at - stage.clock.now()).total_seconds() == pytest.approx(
        third - 16.0, abs=0.02
    )


async def test_one_bad_second_is_forgotten_at_the_first_success() -> None:
    stage = Stage(a=[HEALTHY, UNAVAILABLE, UNAVAILABLE, HEALTHY, UNAVAILABLE, HEALTHY])
    await run_for(31.0, confirming(stage).run())
    assert stage.story == []


async def test_an_engine_in_an_incident_is_asked_by_the_ticks_alone() -> None:
    stage = Stage(a=UNAVAILABLE)
    await run_for(30.9, confirming(stage).run())
    assert len(stage.prober.began("a")) == 3 + 6


async def test_a_hanging_engine_is_asked_again_when_its_timeout_has_run_out() -> None:
    stage = Stage(a=[HEALTHY, SILENT])
    await run_for(20.0, confirming(stage).run())
    _, first, second, third, *_ = stage.prober.began("a")
    assert second - first == pytest.approx(2.25, abs=0.03)
    assert third - second == pytest.approx(2.25, abs=0.03)
    assert stage.story == [("a", "probe_failed", 3)]


async def test_while_it_is_confirmed_no_tick_asks_it_as_well() -> None:
    stage = Stage(a=[HEALTHY, SILENT])
    await run_for(60.0, confirming(stage, failures_threshold=5).run())
    began = stage.prober.began("a")
    assert all(later - earlier > 2.0 for earlier, later in pairwise(began[1:]))


async def test_an_inconclusive_confirmation_leaves_the_rest_to_the_next_tick() -> None:
    stage = Stage(a=[UNAVAILABLE, Inconclusive("no free local port"), UNAVAILABLE])
    await run_for(4.9, confirming(stage).run())
    assert len(stage.prober.began("a")) == 2
    assert stage.story == []


async def test_a_fleet_that_fails_at_once_is_confirmed_with_no_more_probes_in_flight_than_there_are_lanes() -> None:
    stage = Stage(**{f"game-{number}": HEALTHY for number in range(300)})
    for number in range(300):
        stage.prober.script(f"game-{number}", [HEALTHY, SILENT])
    await run_for(40.0, confirming(stage, max_concurrency=100).run())
    assert len(stage.log.events) == 300
    assert stage.prober.most_in_flight <= 200, "the ticks' lanes and as many for confirmations"


async def test_a_game_that_left_meanwhile_is_not_published() -> None:
    stage = Stage(a=UNAVAILABLE, b=HEALTHY)
    worker = confirming(stage)
    await worker.tick()
    assert stage.story == [("a", "probe_failed", 3)]
    stage.records.remove("a")
    stage.records.put(game("c"))
    stage.prober.script("c", [UNAVAILABLE, HEALTHY])
    await ticks(worker, 2)
    assert stage.story == [("a", "probe_failed", 3)]


async def test_a_single_tick_confirms_to_its_end() -> None:
    stage = Stage(a=UNAVAILABLE)
    await confirming(stage).tick()
    assert stage.story == [("a", "probe_failed", 3)]


async def test_without_confirmation_the_third_tick_publishes() -> None:
    stage = Stage(a=UNAVAILABLE)
    worker = Worker(**stage.arguments())
    await ticks(worker, 2)
    assert stage.story == []
    await worker.tick()
    assert stage.story == [("a", "probe_failed", 3)]
