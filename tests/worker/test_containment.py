"""A fault in one collaborator or in one probe is that one's alone."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

import pytest

from healthprobe.domain.outcome import HEALTHY, Failed, Inconclusive, ProbeOutcome
from healthprobe.domain.target import ProbeTarget
from healthprobe.testing.prober import SILENT, STUCK, UNAVAILABLE, Late
from healthprobe.testing.stage import Stage, run_for, ticks
from healthprobe.worker.worker import Worker

BUG = RuntimeError("a bug of the prober's own")


def three_down_then_up() -> Stage:
    return Stage(a=[UNAVAILABLE] * 3 + [HEALTHY], b=[UNAVAILABLE] * 3 + [HEALTHY], c=HEALTHY)


BOTH_WERE_TOLD = [
    ("a", "probe_failed", 3),
    ("a", "probe_recovered", 3),
    ("b", "probe_failed", 3),
    ("b", "probe_recovered", 3),
]


class TestAProber:
    @pytest.mark.proves("fault-contained")
    async def test_that_raises_gives_no_verdict_and_disturbs_no_other_probe(self) -> None:
        stage = Stage(a=BUG, b=UNAVAILABLE, c=HEALTHY)
        await ticks(Worker(**stage.arguments(max_concurrency=1)), 4)
        assert stage.story == [("b", "probe_failed", 3)]
        assert stage.telemetry.outcomes_of(Inconclusive) == 4
        assert sorted(stage.prober.probed) == ["a"] * 4 + ["b"] * 4 + ["c"] * 4

    async def test_that_raises_does_not_interrupt_a_run_of_failures(self) -> None:
        stage = Stage(a=[UNAVAILABLE, UNAVAILABLE, BUG, UNAVAILABLE])
        await ticks(Worker(**stage.arguments()), 4)
        assert stage.story == [("a", "probe_failed", 3)]

    async def test_that_raises_cancelled_error_of_its_own_neither_ends_a_lane_nor_hangs_the_tick(self) -> None:
        stage = Stage(a=asyncio.CancelledError(), b=UNAVAILABLE, c=HEALTHY)
        worker = Worker(**stage.arguments(max_concurrency=1))
        async with asyncio.timeout(60):
            await ticks(worker, 3)
        assert stage.story == [("b", "probe_failed", 3)]
        assert stage.telemetry.outcomes_of(Inconclusive) == 3

    async def test_that_never_answers_is_bounded_by_the_probe_timeout_and_the_engine_failed(self) -> None:
        stage = Stage(a=STUCK, b=HEALTHY)
        await ticks(Worker(**stage.arguments()), 3)
        details = stage.log.events[0].details.as_document()
        assert details["last_status"] == 0
        assert details["last_error"].startswith("timed out after 2s")
        assert all(probe.cancelled for probe in stage.prober.probes if probe.game_id == "a")
        longest = max((1e9 if probe.ended is None else probe.ended) - probe.began for probe in stage.prober.probes)
        assert 2.0 <= longest < 3.0

    async def test_that_is_stuck_for_one_engine_holds_up_no_other_beyond_the_bound(self) -> None:
        stage = Stage(a=STUCK, b=STUCK, c=UNAVAILABLE, d=HEALTHY)
        await ticks(Worker(**stage.arguments(max_concurrency=1)), 3)
        assert ("c", "probe_failed", 3) in stage.story
        assert len(stage.story) == 3

    async def test_that_keeps_its_promise_is_believed_to_the_last_moment(self) -> None:
        stage = Stage(a=Late(2.04, HEALTHY), b=SILENT)
        await ticks(Worker(**stage.arguments()), 3)
        assert [game_id for game_id, _, _ in stage.story] == ["b"]

    async def test_that_cannot_tell_is_logged_once_a_minute_with_how_often(self) -> None:
        stage = Stage(a=Inconclusive("out of file descriptors"), b=BUG)
        await run_for(179.0, Worker(**stage.arguments()).run())
        lines = stage.lines_of("probe inconclusive")
        assert stage.telemetry.outcomes_of(Inconclusive) == 72
        assert [line["log_level"] for line in lines] == ["warning"] * 3
        assert lines[0]["err"] == "out of file descriptors" or "a bug of the prober's own" in lines[0]["err"]
        assert lines[0]["times"] == 1
        assert sum(line["times"] for line in lines) > 40

    async def test_that_raises_as_it_lets_go_of_a_target_does_not_blind_the_worker(self) -> None:
        class Clinging:
            def __init__(self, stage: Stage) -> None:
                self.probe = stage.prober.probe

            def forget(self, target: ProbeTarget) -> None:
                raise RuntimeError("a bug of the prober's own")

        stage = Stage(a=HEALTHY, b=UNAVAILABLE)
        worker = Worker(**stage.arguments(prober=Clinging(stage)))
        running = asyncio.ensure_future(run_for(40.0, worker.run()))
        await asyncio.sleep(4.9)
        stage.records.remove("a")
        await running
        assert stage.prober.probed.count("a") == 1
        assert stage.prober.probed.count("b") == 8
        assert stage.story == [("b", "probe_failed", 3)]


class TestTelemetry:
    async def test_that_raises_costs_no_event(self) -> None:
        stage = three_down_then_up()
        stage.telemetry.broken = True
        worker = Worker(**stage.arguments())
        await ticks(worker, 4)
        assert sorted(stage.story) == BOTH_WERE_TOLD
        assert worker.status.states == {}
        assert worker.status.waiting == {}

    async def test_that_raises_does_not_end_the_run(self) -> None:
        stage = three_down_then_up()
        stage.telemetry.broken = True
        await run_for(29.0, Worker(**stage.arguments()).run())
        assert len(stage.prober.probes) == 18
        assert sorted(stage.story) == BOTH_WERE_TOLD

    async def test_that_raises_while_the_store_is_away_does_not_blind_the_prober(self) -> None:
        stage = Stage(a=UNAVAILABLE)
        worker = Worker(**stage.arguments())
        await worker.tick()
        stage.telemetry.broken = stage.records.unavailable = True
        await ticks(worker, 2)
        assert stage.story == [("a", "probe_failed", 3)]

    async def test_that_raises_does_not_make_the_log_look_away(self) -> None:
        stage = three_down_then_up()
        stage.telemetry.broken = True
        await ticks(Worker(**stage.arguments()), 4)
        assert stage.lines_of("publish health event") == []


class BrokenLogger:
    """A logger whose every line raises."""

    def bind(self, **_: Any) -> BrokenLogger:
        return self

    def __getattr__(self, name: str) -> Any:
        def line(*_: Any, **__: Any) -> None:
            raise OSError("no space left on device")

        return line


class TestALogger:
    async def test_that_raises_costs_no_event(self) -> None:
        stage = three_down_then_up()
        await ticks(Worker(**stage.arguments(logger=BrokenLogger())), 4)
        assert sorted(stage.story) == BOTH_WERE_TOLD

    async def test_that_raises_does_not_end_the_run(self) -> None:
        stage = three_down_then_up()
        await run_for(29.0, Worker(**stage.arguments(logger=BrokenLogger())).run())
        assert len(stage.prober.probes) == 18
        assert sorted(stage.story) == BOTH_WERE_TOLD

    async def test_that_raises_while_store_log_and_prober_are_at_fault_does_not_end_the_run_either(self) -> None:
        stage = three_down_then_up()
        stage.prober.script("c", BUG)
        running = asyncio.ensure_future(run_for(59.0, Worker(**stage.arguments(logger=BrokenLogger())).run()))
        await asyncio.sleep(4.9)
        stage.records.unavailable = stage.log.unavailable = True
        await asyncio.sleep(25.0)
        stage.records.unavailable = stage.log.unavailable = False
        await running
        assert len(stage.prober.probes) == 36
        assert sorted(stage.story) == BOTH_WERE_TOLD


class TestAClock:
    async def test_that_raises_puts_the_verdict_off_until_it_can_tell_the_time(self) -> None:
        stage = Stage(a=UNAVAILABLE, b=HEALTHY)
        wrong = True

        def clock() -> datetime:
            if wrong:
                raise OverflowError("date value out of range")
            return stage.clock.now()

        worker = Worker(**stage.arguments(clock=clock))
        await ticks(worker, 4)
        assert stage.story == []
        assert len(stage.prober.probes) == 8
        wrong = False
        await worker.tick()
        assert [(game_id, kind) for game_id, kind, _ in stage.story] == [("a", "probe_failed")]

    async def test_of_wall_time_that_is_stepped_moves_no_tick_and_no_verdict(self) -> None:
        stage = Stage(a=[UNAVAILABLE] * 3 + [HEALTHY])
        for at, seconds in [(7.0, -86_400.0), (12.5, 200_000.0), (17.0, -5.0)]:
            asyncio.get_running_loop().call_later(at, stage.clock.step, seconds)
        await run_for(29.0, Worker(**stage.arguments()).run())
        began = stage.prober.began("a")
        assert [later - began[0] for later in began] == pytest.approx([0, 5, 10, 15, 20, 25], abs=0.02)
        assert stage.story == BOTH_WERE_TOLD[:2]


async def test_an_on_commit_that_raises_costs_no_event() -> None:
    def on_commit() -> None:
        raise RuntimeError("a bug of the relay's own")

    stage = three_down_then_up()
    await ticks(Worker(**stage.arguments(on_commit=on_commit)), 4)
    assert sorted(stage.story) == BOTH_WERE_TOLD


async def test_a_prober_that_returns_an_outcome_when_cancelled_publishes_nothing_and_delays_nothing() -> None:
    class Stubborn:
        async def probe(self, target: ProbeTarget) -> ProbeOutcome:
            try:
                await asyncio.sleep(1.0)
            except asyncio.CancelledError:
                return Failed(0, "cancelled")
            return HEALTHY

        def forget(self, target: ProbeTarget) -> None: ...

    stage = Stage(a=HEALTHY, b=HEALTHY)
    worker = Worker(**stage.arguments(prober=Stubborn(), failures_threshold=1))
    first_probe = min(game.phase for game in await phases_of(worker))
    async with asyncio.timeout(60):
        await run_for(first_probe + 0.5, worker.run())
    assert stage.log.offered == []


async def phases_of(worker: Worker) -> Any:
    await worker.tick()
    return worker._discovery.target_set.games


async def test_a_store_whose_own_task_was_cancelled_does_not_end_the_run() -> None:
    stage = Stage(a=HEALTHY)

    class Cancelled:
        async def list_by_status(self, status: str) -> Any:
            if len(stage.records.listed_at) == 1:
                stage.records.listed_at.append(-1.0)
                raise asyncio.CancelledError
            return await stage.records.list_by_status(status)

    await run_for(29.0, Worker(**stage.arguments(records=Cancelled())).run())
    assert len(stage.prober.probes) == 6
