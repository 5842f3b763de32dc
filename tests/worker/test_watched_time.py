"""What a run notes of the time in which it watched."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from healthprobe.app.watched_time import LOOK_INTERVAL, WRITE_INTERVAL, WatchRecorder
from healthprobe.domain.outcome import HEALTHY
from healthprobe.domain.target import parse_target
from healthprobe.domain.watch import WATCH, WatchedTime, readable_times, together
from healthprobe.testing.leases import ScriptedLeases
from healthprobe.testing.prober import UNAVAILABLE
from healthprobe.testing.stage import Stage, game, run_for
from healthprobe.worker.worker import Worker


def recorder_of(stage: Stage, worker: Worker, **others: Any) -> WatchRecorder:
    return WatchRecorder(stage.log, worker.status, stage.logger, clock=lambda: stage.clock.now().timestamp(), **others)


CANARY = parse_target(game("gateway"), 2.0)


async def noted(stage: Stage) -> float:
    """Returns the seconds that were noted by all runs together."""
    time = together(readable_times(await stage.log.documents(WATCH)).values())
    return sum(end - start for spans in time.by_part.values() for start, end in spans)


async def watch_for(seconds: float, stage: Stage, worker: Worker, recorder: WatchRecorder) -> None:
    await asyncio.gather(run_for(seconds, worker.run()), run_for(seconds, recorder.run()))


async def test_a_run_notes_its_time_once_a_minute_and_a_crash_loses_a_minute_at_most() -> None:
    stage = Stage(a=HEALTHY)
    worker = Worker(**stage.arguments())
    await watch_for(600.0, stage, worker, recorder_of(stage, worker))
    assert 600 - WRITE_INTERVAL - 2 * LOOK_INTERVAL <= await noted(stage) <= 600
    assert len(await stage.log.documents(WATCH)) == 1


async def test_a_clean_stop_notes_the_rest() -> None:
    stage = Stage(a=HEALTHY)
    worker = Worker(**stage.arguments())
    recorder = recorder_of(stage, worker)
    await watch_for(599.0, stage, worker, recorder)
    recorder.look()
    await recorder.finish(within=1.0)
    assert await noted(stage) == pytest.approx(600, abs=2 * LOOK_INTERVAL)


async def test_time_in_which_the_run_was_not_there_is_not_noted_and_its_note_is_taken_over() -> None:
    stage = Stage(a=HEALTHY)
    for _ in range(3):
        worker = Worker(**stage.arguments())
        recorder = recorder_of(stage, worker)
        await watch_for(300.0, stage, worker, recorder)
        recorder.look()
        await recorder.finish(within=1.0)
        await asyncio.sleep(3600.0)
    documents = readable_times(await stage.log.documents(WATCH))
    assert len(documents) == 1
    assert [len(time.by_part[""]) for time in documents.values()] == [3]
    assert await noted(stage) == pytest.approx(900, abs=6 * LOOK_INTERVAL)


async def test_the_note_of_a_run_that_goes_on_is_left_to_it() -> None:
    stage = Stage(a=HEALTHY)
    worker = Worker(**stage.arguments())
    one, other = recorder_of(stage, worker), recorder_of(stage, worker)
    await asyncio.gather(run_for(300.0, worker.run()), run_for(300.0, one.run()), run_for(300.0, other.run()))
    assert len(await stage.log.documents(WATCH)) == 2


async def test_a_blind_prober_does_not_watch() -> None:
    stage = Stage(a=HEALTHY)
    stage.prober.script(CANARY.game_id, UNAVAILABLE)
    worker = Worker(**stage.arguments(canaries=[CANARY]))
    await watch_for(120.0, stage, worker, recorder_of(stage, worker))
    assert await noted(stage) == 0


async def test_an_instance_without_shards_does_not_watch() -> None:
    stage = Stage(a=HEALTHY)
    worker = Worker(**stage.arguments(shards=ScriptedLeases([])))
    await watch_for(120.0, stage, worker, recorder_of(stage, worker))
    assert await noted(stage) == 0


async def test_a_pause_of_the_process_is_not_noted() -> None:
    stage = Stage(a=HEALTHY)
    worker = Worker(**stage.arguments())
    recorder = recorder_of(stage, worker)
    await watch_for(60.0, stage, worker, recorder)
    await asyncio.sleep(1000.0)
    await watch_for(60.0, stage, worker, recorder)
    await recorder.finish(within=1.0)
    assert await noted(stage) == pytest.approx(120, abs=4 * LOOK_INTERVAL)


async def test_a_log_that_is_away_gets_the_note_later_and_is_named_once(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(a=HEALTHY)
    worker = Worker(**stage.arguments())

    async def refuse(*_: object) -> None:
        raise stage.log.error("it is away")

    monkeypatch.setattr(stage.log, "put_documents", refuse)
    recorder = recorder_of(stage, worker, part="1/2")
    await watch_for(200.0, stage, worker, recorder)
    assert len(stage.lines_of("the time that was watched cannot be noted")) == 1
    monkeypatch.undo()
    await recorder.finish(within=1.0)
    assert await noted(stage) == pytest.approx(200, abs=2 * LOOK_INTERVAL)
    [time] = readable_times(await stage.log.documents(WATCH)).values()
    assert isinstance(time, WatchedTime)
    assert list(time.by_part) == ["1/2"]
