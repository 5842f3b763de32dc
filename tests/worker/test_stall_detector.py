"""The prober itself stood still, by SIGSTOP, a paused machine or a starved loop: that is no engine's fault."""

from __future__ import annotations

import asyncio

import pytest

from healthprobe.domain.outcome import HEALTHY, Failed, Healthy, Inconclusive, ProbeOutcome
from healthprobe.domain.target import ProbeTarget
from healthprobe.testing.clock import VirtualTimeLoop
from healthprobe.testing.prober import SILENT, UNAVAILABLE, Late
from healthprobe.testing.stage import Stage, run_for, ticks
from healthprobe.worker.worker import Worker

GAMES = [f"game-{number}" for number in range(200)]
BRISK = {"interval": 0.3, "probe_timeout": 0.15, "failures_threshold": 1, "max_concurrency": 500}


class Punctual:
    """A prober of healthy engines that answer in 20 ms.

    If its deadline has passed as the loop goes on, it returns a timeout, as if no answer had come.
    """

    async def probe(self, target: ProbeTarget) -> ProbeOutcome:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + target.timeout
        await asyncio.sleep(0.02)
        if loop.time() < deadline:
            return HEALTHY
        return Failed(0, "timed out after 0.15s waiting for the response head")

    def forget(self, target: ProbeTarget) -> None: ...


def stall_at(moment: float, seconds: float) -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    loop.call_at(moment, loop.stall, seconds)


@pytest.mark.parametrize("seconds", [0.2, 2.0, 60.0])
async def test_two_hundred_healthy_engines_and_ten_stops_make_not_one_event(seconds: float) -> None:
    stage = Stage(**dict.fromkeys(GAMES, HEALTHY))
    for stop in range(10):
        stall_at(0.95 + (seconds + 1.01) * stop, seconds)
    await run_for(0.95 + (seconds + 1.01) * 10, Worker(**stage.arguments(prober=Punctual(), **BRISK)).run())
    assert stage.telemetry.outcomes_of(Inconclusive) > 100
    assert stage.telemetry.outcomes_of(Failed) == 0
    assert stage.log.offered == []


async def test_the_same_failures_without_a_stall_are_events_at_once() -> None:
    stage = Stage(**dict.fromkeys(GAMES, SILENT))
    await run_for(0.9, Worker(**stage.arguments(**BRISK)).run())
    assert len(stage.log.events) == 200


async def test_a_success_that_spans_a_stall_ends_a_count_below_the_threshold() -> None:
    stage = Stage(a=[UNAVAILABLE, UNAVAILABLE, Late(0.5, HEALTHY), UNAVAILABLE, UNAVAILABLE, UNAVAILABLE])
    worker = Worker(**stage.arguments())
    await ticks(worker, 2)
    stall_at(0.2, 1.0)
    await ticks(worker, 3)
    assert stage.story == []
    await ticks(worker, 1)
    assert stage.story == [("a", "probe_failed", 3)]


async def test_a_success_that_spans_a_stall_ends_no_incident() -> None:
    stage = Stage(a=[UNAVAILABLE, UNAVAILABLE, UNAVAILABLE, Late(0.5, HEALTHY), HEALTHY])
    worker = Worker(**stage.arguments())
    await ticks(worker, 3)
    stall_at(0.2, 1.0)
    await ticks(worker, 1)
    assert stage.story == [("a", "probe_failed", 3)]
    await ticks(worker, 1)
    assert stage.story == [("a", "probe_failed", 3), ("a", "probe_recovered", 3)]


async def test_failures_before_and_after_a_stall_are_one_run() -> None:
    stage = Stage(a=[UNAVAILABLE, UNAVAILABLE, SILENT, UNAVAILABLE])
    worker = Worker(**stage.arguments())
    await ticks(worker, 2)
    stall_at(1.0, 10.0)
    await worker.tick()
    assert stage.story == []
    await worker.tick()
    assert stage.log.events[0].details.as_document() == {
        "consecutive_failures": 3,
        "last_status": 503,
        "last_error": "unexpected status 503",
    }


async def test_an_engine_that_is_really_dead_is_published_once_the_stalls_are_over() -> None:
    stage = Stage(a=SILENT)
    for stop in range(5):
        stall_at(1.0 + 10 * stop, 4.0)
    await run_for(70.0, Worker(**stage.arguments()).run())
    assert [(game_id, kind) for game_id, kind, _ in stage.story] == [("a", "probe_failed")]


async def test_a_stall_between_two_ticks_touches_no_outcome() -> None:
    stage = Stage(a=SILENT, b=HEALTHY)
    worker = Worker(**stage.arguments())
    for tick in range(3):
        await worker.tick()
        stall_at(asyncio.get_running_loop().time() + 0.1, 60.0)
        await asyncio.sleep(1.0)
        assert stage.telemetry.outcomes_of(Failed) == tick + 1
    assert stage.telemetry.outcomes_of(Inconclusive) == 0
    assert stage.story == [("a", "probe_failed", 3)]


async def test_probes_that_begin_after_the_stall_are_judged() -> None:
    stage = Stage(a=Late(1.0, HEALTHY), b=HEALTHY, c=HEALTHY)
    stall_at(0.5, 10.0)
    await Worker(**stage.arguments(max_concurrency=1)).tick()
    assert stage.telemetry.outcomes_of(Inconclusive) == 1
    assert stage.telemetry.outcomes_of(Healthy) == 2


async def test_a_probe_that_blocks_the_loop_is_inconclusive_even_before_the_next_heartbeat() -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)

    def blocks(_: ProbeTarget) -> Failed:
        loop.stall(5.0)
        return Failed(0, "timed out after 2s waiting for the response head")

    stage = Stage(a=blocks)
    await ticks(Worker(**stage.arguments(failures_threshold=1)), 3)
    assert stage.telemetry.outcomes_of(Inconclusive) == 3
    assert stage.log.offered == []


async def test_a_stall_of_less_than_a_quarter_of_the_timeout_is_tolerated() -> None:
    stage = Stage(a=SILENT)
    for hiccup in range(100):
        stall_at(0.3 * hiccup, 0.2)
    await ticks(Worker(**stage.arguments()), 3)
    assert stage.telemetry.outcomes_of(Failed) == 3


async def test_a_step_of_the_wall_clock_is_no_stall() -> None:
    stage = Stage(a=SILENT)
    asyncio.get_running_loop().call_later(1.0, stage.clock.step, 3600.0)
    await ticks(Worker(**stage.arguments()), 3)
    assert stage.telemetry.outcomes_of(Failed) == 3


async def test_a_stall_is_logged_once_a_minute_as_the_probers_own() -> None:
    stage = Stage(**dict.fromkeys(GAMES[:20], Late(0.5, HEALTHY)))
    stall_at(0.2, 5.0)
    await Worker(**stage.arguments(max_concurrency=100)).tick()
    (line,) = stage.lines_of("probe inconclusive")
    assert line["log_level"] == "warning"
    assert "stood still" in line["err"]
