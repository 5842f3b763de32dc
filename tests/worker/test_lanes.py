"""How many probes are in flight, and how few lanes that takes."""

from __future__ import annotations

import asyncio

import pytest

from healthprobe.domain.outcome import HEALTHY
from healthprobe.domain.schedule import AutoLanes
from healthprobe.domain.target import ProbeTarget
from healthprobe.testing.prober import SILENT, Answer, Late
from healthprobe.testing.stage import Stage, run_for
from healthprobe.worker.worker import Worker

GAMES = [f"game-{number}" for number in range(200)]


async def test_by_default_at_most_sixteen_probes_are_in_flight() -> None:
    stage = Stage(**dict.fromkeys(GAMES, Late(0.5, HEALTHY)))
    await Worker(**stage.arguments()).tick()
    assert stage.prober.most_in_flight == 16
    assert len(stage.prober.probes) == 200


async def test_max_concurrency_is_kept_in_tick_and_in_run() -> None:
    for concurrency in (1, 7, 500):
        stage = Stage(**dict.fromkeys(GAMES[:50], Late(0.5, HEALTHY)))
        await Worker(**stage.arguments(max_concurrency=concurrency)).tick()
        assert stage.prober.most_in_flight == min(concurrency, 50)
    stage = Stage(**dict.fromkeys(GAMES[:50], Late(0.5, HEALTHY)))
    await run_for(40.0, Worker(**stage.arguments(max_concurrency=3)).run())
    assert stage.prober.most_in_flight == 3


async def test_all_games_are_judged_though_there_is_one_lane() -> None:
    stage = Stage(**dict.fromkeys(GAMES, Late(0.01, HEALTHY)))
    await Worker(**stage.arguments(max_concurrency=1)).tick()
    assert sorted(stage.prober.probed) == sorted(GAMES)


@pytest.mark.proves("lanes-auto")
async def test_with_lanes_on_auto_every_probe_starts_when_it_is_due_though_every_engine_hangs() -> None:
    stage = Stage(**dict.fromkeys(GAMES, SILENT))
    await run_for(24.0, Worker(**stage.arguments(max_concurrency=AutoLanes())).run())
    assert len(stage.prober.probes) >= 4 * 200
    assert max(stage.telemetry.lateness) < 0.02
    assert stage.telemetry.dropped_ticks == 0


async def test_with_one_lane_too_few_some_probe_is_late_so_that_auto_is_as_few_as_can_be() -> None:
    stage = Stage(**dict.fromkeys(GAMES, SILENT))
    worker = Worker(**stage.arguments(max_concurrency=AutoLanes()))
    await run_for(9.0, worker.run())
    needed = stage.prober.most_in_flight
    stage = Stage(**dict.fromkeys(GAMES, SILENT))
    await run_for(9.0, Worker(**stage.arguments(max_concurrency=needed - 8)).run())
    assert max(stage.telemetry.lateness) > 0.02


async def test_a_ceiling_on_auto_is_kept() -> None:
    stage = Stage(**dict.fromkeys(GAMES, SILENT))
    await run_for(9.0, Worker(**stage.arguments(max_concurrency=AutoLanes(ceiling=5))).run())
    assert stage.prober.most_in_flight == 5


async def test_one_engine_that_hangs_delays_no_other_in_a_tick_on_auto() -> None:
    stage = Stage(**dict.fromkeys(GAMES, HEALTHY))
    for game_id in GAMES[::4]:
        stage.prober.script(game_id, SILENT)
    await Worker(**stage.arguments(max_concurrency=AutoLanes())).tick()
    assert {probe.began for probe in stage.prober.probes} == {0.0}


async def test_lanes_are_started_only_as_they_are_needed() -> None:
    stage = Stage(**dict.fromkeys(GAMES, HEALTHY))
    before = len(asyncio.all_tasks())
    most = 0

    def count(_: ProbeTarget) -> Answer:
        nonlocal most
        most = max(most, len(asyncio.all_tasks()) - before)
        return HEALTHY

    for game_id in GAMES:
        stage.prober.script(game_id, count)
    await run_for(20.0, Worker(**stage.arguments(max_concurrency=1000)).run())
    assert len(stage.prober.probes) == 4 * 200
    assert most < 12  # the run, its committer, and a lane or a few for each group that came due


async def test_no_lane_outlives_its_tick() -> None:
    stage = Stage(**dict.fromkeys(GAMES, HEALTHY))
    before = len(asyncio.all_tasks())
    await Worker(**stage.arguments(max_concurrency=100)).tick()
    await asyncio.sleep(0)
    assert len(asyncio.all_tasks()) == before


async def test_a_concurrency_that_is_not_positive_means_the_references_sixteen() -> None:
    for concurrency in (0, -1):
        stage = Stage(**dict.fromkeys(GAMES[:40], Late(0.1, HEALTHY)))
        await Worker(**stage.arguments(max_concurrency=concurrency)).tick()
        assert stage.prober.most_in_flight == 16
