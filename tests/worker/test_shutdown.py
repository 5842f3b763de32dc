"""The end of a run: what was cut short has no outcome, what was decided is offered once more, and then it ends."""

from __future__ import annotations

import asyncio

import pytest

from healthprobe.domain.outcome import HEALTHY, Failed
from healthprobe.domain.target import ProbeTarget
from healthprobe.testing.prober import SILENT, UNAVAILABLE, Late
from healthprobe.testing.stage import Stage, run_for, ticks
from healthprobe.worker.worker import Worker

GAMES = [f"game-{number}" for number in range(50)]


async def test_cancellation_goes_on_to_the_caller() -> None:
    running = asyncio.ensure_future(Worker(**Stage(a=HEALTHY).arguments()).run())
    await asyncio.sleep(7.0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


@pytest.mark.proves("shutdown-no-events")
async def test_a_hundred_ends_in_mid_tick_make_not_one_event() -> None:
    stage = Stage(**dict.fromkeys(GAMES, Late(0.1, HEALTHY)))
    arguments = stage.arguments(interval=0.3, probe_timeout=0.15, failures_threshold=1, max_concurrency=50)
    cut_short = 0
    for end in range(100):
        await run_for(0.01 + 0.007 * end, Worker(**arguments).run())
        cut_short += sum(probe.cancelled for probe in stage.prober.probes)
        stage.prober.probes.clear()
    assert cut_short > 100
    assert stage.log.offered == []
    assert stage.prober.in_flight == 0


async def test_a_cancelled_probe_is_not_reported() -> None:
    stage = Stage(a=SILENT)
    ticking = asyncio.ensure_future(Worker(**stage.arguments(failures_threshold=1)).tick())
    await asyncio.sleep(1.0)
    ticking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ticking
    assert stage.prober.probes[0].cancelled
    assert stage.telemetry.outcomes == []
    assert stage.log.offered == []


async def test_a_tick_that_was_cancelled_leaves_the_worker_fit_for_the_next() -> None:
    stage = Stage(a=[Late(1.0, HEALTHY), UNAVAILABLE])
    worker = Worker(**stage.arguments())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await worker.tick()
    await ticks(worker, 3)
    assert stage.story == [("a", "probe_failed", 3)]


async def test_what_is_decided_is_offered_to_the_log_before_the_end() -> None:
    probed = asyncio.Event()

    def fails(_: ProbeTarget) -> Failed:
        probed.set()
        return UNAVAILABLE

    stage = Stage(a=fails)
    stage.log.delay = 0.3
    running = asyncio.ensure_future(Worker(**stage.arguments(failures_threshold=1)).run())
    await probed.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert stage.story == [("a", "probe_failed", 1)]


async def test_a_log_that_hangs_holds_up_the_end_for_one_second_at_most() -> None:
    stage = Stage(a=UNAVAILABLE)
    loop = asyncio.get_running_loop()
    loop.call_later(4.9, setattr, stage.log, "delay", 3600.0)
    running = asyncio.ensure_future(Worker(**stage.arguments(failures_threshold=2)).run())
    await asyncio.sleep(9.0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert loop.time() == pytest.approx(10.0, abs=0.01)


async def test_a_store_that_hangs_does_not_hold_up_the_end_and_is_not_left_waiting() -> None:
    before = asyncio.all_tasks()
    stage = Stage(a=HEALTHY)
    stage.records.delay = 3600.0
    running = asyncio.ensure_future(Worker(**stage.arguments()).run())
    await asyncio.sleep(0.5)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert asyncio.get_running_loop().time() == pytest.approx(0.5, abs=0.01)
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize("moment", [0.0, 0.001, 2.0, 5.0, 5.5])
async def test_no_task_is_left_behind_whenever_the_end_comes(moment: float) -> None:
    stage = Stage(a=SILENT, b=UNAVAILABLE)
    before = asyncio.all_tasks()
    await run_for(moment, Worker(**stage.arguments(failures_threshold=1)).run())
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before


async def test_what_the_log_did_not_take_before_the_end_is_decided_again_by_the_next_run() -> None:
    stage = Stage(a=UNAVAILABLE)
    loop = asyncio.get_running_loop()
    loop.call_later(9.0, setattr, stage.log, "unavailable", True)
    await run_for(20.0, Worker(**stage.arguments()).run())
    assert stage.story == []
    stage.log.unavailable = False
    await run_for(20.0, Worker(**stage.arguments()).run())
    assert stage.story == [("a", "probe_failed", 3)]
