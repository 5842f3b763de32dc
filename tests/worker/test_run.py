"""When `run` probes which game: at once, at a stable phase, never two ticks over each other."""

from __future__ import annotations

import asyncio

import pytest

from healthprobe.domain.outcome import HEALTHY
from healthprobe.domain.schedule import AutoLanes, phase_fraction, spread_window
from healthprobe.testing.clock import VirtualTimeLoop
from healthprobe.testing.prober import SILENT, STUCK, UNAVAILABLE, Late
from healthprobe.testing.stage import Stage, game, run_for
from healthprobe.worker.worker import Worker

IDS = [f"game-{number}" for number in range(50)]
GROUPING = 0.0051
"""Probes start in small groups, a few milliseconds after they are due at most."""


def due(game_id: str) -> float:
    return spread_window(interval=5.0, timeout=2.0).phase(phase_fraction(game_id))


@pytest.mark.proves("first-tick-at-once")
async def test_the_first_tick_begins_at_once_and_the_others_follow_every_interval() -> None:
    stage = Stage(a=HEALTHY)
    await run_for(26.0, Worker(**stage.arguments()).run())
    assert stage.records.listed_at == [0.0, 5.0, 10.0, 15.0, 20.0, 25.0]
    assert stage.prober.began("a")[0] < 3.0


async def test_every_game_is_probed_at_its_own_phase_in_every_tick() -> None:
    stage = Stage(**dict.fromkeys(IDS, HEALTHY))
    await run_for(20.0, Worker(**stage.arguments()).run())
    for game_id in IDS:
        expected = [due(game_id) + 5.0 * tick for tick in range(4)]
        assert stage.prober.began(game_id) == pytest.approx(expected, abs=GROUPING)


async def test_phases_lie_within_0_and_interval_minus_timeout_and_are_spread_over_all_of_it() -> None:
    stage = Stage(**dict.fromkeys(IDS, HEALTHY))
    await run_for(4.9, Worker(**stage.arguments()).run())
    began = [probe.began for probe in stage.prober.probes]
    assert all(0 <= at <= 3.0 for at in began)
    for third in range(3):
        assert sum(third <= at < third + 1 for at in began) > len(IDS) / 6


async def test_no_probe_is_early() -> None:
    stage = Stage(**dict.fromkeys(IDS, HEALTHY))
    await run_for(20.0, Worker(**stage.arguments()).run())
    assert min(stage.telemetry.lateness) >= -1e-9


async def test_games_that_appear_leave_the_phases_of_all_others_unmoved() -> None:
    stage = Stage(**dict.fromkeys(IDS, HEALTHY))
    running = asyncio.ensure_future(run_for(20.0, Worker(**stage.arguments()).run()))
    await asyncio.sleep(9.0)
    stage.records.put(*(game(f"new-{number}") for number in range(30)))
    stage.records.remove(*IDS[:10])
    await running
    for game_id in IDS[10:]:
        expected = [due(game_id) + 5.0 * tick for tick in range(4)]
        assert stage.prober.began(game_id) == pytest.approx(expected, abs=GROUPING)
    assert stage.prober.began("new-3") == pytest.approx([due("new-3") + 10, due("new-3") + 15], abs=GROUPING)


async def test_a_timeout_that_is_not_shorter_than_the_interval_spreads_nothing() -> None:
    stage = Stage(**dict.fromkeys(IDS[:10], HEALTHY))
    await run_for(9.0, Worker(**stage.arguments(probe_timeout=5.0)).run())
    assert [probe.began for probe in stage.prober.probes] == [0.0] * 10 + [5.0] * 10


async def test_tick_probes_all_at_once_whatever_their_phases() -> None:
    stage = Stage(**dict.fromkeys(IDS, HEALTHY))
    await Worker(**stage.arguments()).tick()
    assert [probe.began for probe in stage.prober.probes] == [0.0] * 50


async def test_engines_that_all_hang_cost_no_tick() -> None:
    stage = Stage(**dict.fromkeys(IDS, SILENT))
    await run_for(60.0, Worker(**stage.arguments(max_concurrency=AutoLanes())).run())
    assert stage.records.listed_at == [5.0 * tick for tick in range(12)]
    assert stage.telemetry.dropped_ticks == 0


async def test_probers_that_all_get_stuck_cost_no_game_its_verdict() -> None:
    stage = Stage(**dict.fromkeys(IDS, STUCK))
    await run_for(30.0, Worker(**stage.arguments(max_concurrency=AutoLanes())).run())
    assert len(stage.log.events) == 50


async def test_a_tick_that_takes_longer_than_the_interval_drops_the_ones_that_came_due_and_counts_them() -> None:
    stage = Stage(a=Late(12.0, HEALTHY), b=HEALTHY)
    arguments = stage.arguments(probe_timeout=30.0)
    await run_for(59.0, Worker(**arguments).run())
    began = stage.prober.began("a")
    assert began == [0.0, 15.0, 30.0, 45.0]
    assert [tick.dropped for tick in stage.telemetry.ticks] == [2, 2, 2, 2]
    assert stage.prober.began("b") == began


async def test_ticks_never_overlap() -> None:
    stage = Stage(a=Late(12.0, HEALTHY))
    await run_for(300.0, Worker(**stage.arguments(probe_timeout=30.0)).run())
    ended = [probe.ended for probe in stage.prober.probes if probe.ended is not None]
    assert len(ended) == 20
    assert all(end <= following for end, following in zip(ended, stage.records.listed_at[1:], strict=False))


async def test_a_tick_asked_for_while_another_runs_is_dropped_and_counted() -> None:
    stage = Stage(a=Late(1.0, HEALTHY))
    worker = Worker(**stage.arguments())
    await asyncio.gather(worker.tick(), worker.tick(), worker.tick())
    assert len(stage.prober.probes) == 1
    assert stage.telemetry.dropped_ticks == 2


async def test_a_tick_that_is_a_little_late_is_begun_all_the_same() -> None:
    stage = Stage(a=[Late(5.3, HEALTHY), HEALTHY])
    await run_for(29.0, Worker(**stage.arguments(probe_timeout=8.0)).run())
    assert stage.telemetry.dropped_ticks == 0
    assert len(stage.prober.probes) == 6


async def test_after_a_long_sleep_of_the_machine_the_phases_are_kept_and_no_game_is_probed_twice() -> None:
    stage = Stage(a=HEALTHY)
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    loop.call_later(9.0, loop.stall, 1000.0)
    await run_for(1022.0, Worker(**stage.arguments()).run())
    began = stage.prober.began("a")
    assert len(began) in {5, 6}
    assert [at % 5.0 for at in began[-2:]] == pytest.approx([due("a")] * 2, abs=GROUPING)
    assert stage.telemetry.dropped_ticks >= 198


async def test_a_running_worker_without_games_waits_for_some() -> None:
    stage = Stage()
    running = asyncio.ensure_future(run_for(30.0, Worker(**stage.arguments()).run()))
    await asyncio.sleep(12.0)
    stage.records.put(game("a"))
    await running
    assert len(stage.prober.probes) == 3


async def test_each_dead_engine_is_reported_as_its_threshold_th_probe_ends() -> None:
    stage = Stage(**dict.fromkeys(IDS, SILENT))
    await run_for(30.0, Worker(**stage.arguments(max_concurrency=AutoLanes())).run())
    assert len(stage.log.events) == 50
    for event in stage.log.events:
        third = [probe for probe in stage.prober.probes if probe.game_id == event.game_id][2]
        assert third.ended is not None
        seen_at = (event.occurred_at - stage.clock.now()).total_seconds() + stage.clock.monotonic()
        assert seen_at == pytest.approx(third.ended, abs=1e-3)


async def test_the_next_tick_begins_on_time_while_the_log_takes_what_the_last_one_decided() -> None:
    stage = Stage(**dict.fromkeys(IDS, UNAVAILABLE))
    asyncio.get_running_loop().call_later(4.0, setattr, stage.log, "delay", 7.0)
    await run_for(29.0, Worker(**stage.arguments()).run())
    assert stage.records.listed_at == [0.0, 5.0, 10.0, 15.0, 20.0, 25.0]
