"""The store is away, slow or broken: the last good list stays in force, and the worker says so once."""

from __future__ import annotations

import asyncio

import pytest

from healthprobe.domain.outcome import HEALTHY
from healthprobe.testing.prober import UNAVAILABLE
from healthprobe.testing.stage import Stage, game, run_for, ticks
from healthprobe.worker.worker import Worker

OUTAGES = pytest.mark.parametrize("switch", ["unavailable", "broken"])


@pytest.mark.proves("list-error")
@OUTAGES
async def test_a_list_error_does_not_blind_the_prober(switch: str) -> None:
    stage = Stage(a=UNAVAILABLE, b=HEALTHY)
    worker = Worker(**stage.arguments())
    await worker.tick()
    setattr(stage.records, switch, True)
    await ticks(worker, 2)
    assert sorted(stage.prober.probed) == ["a"] * 3 + ["b"] * 3
    assert stage.story == [("a", "probe_failed", 3)]


@OUTAGES
async def test_an_unavailable_store_is_logged_once_and_so_is_its_return(switch: str) -> None:
    stage = Stage(a=HEALTHY)
    worker = Worker(**stage.arguments())
    await worker.tick()
    setattr(stage.records, switch, True)
    await ticks(worker, 5)
    setattr(stage.records, switch, False)
    await ticks(worker, 5)
    said = [(line["log_level"], line["event"]) for line in stage.lines]
    assert said == [("warning", "list running records"), ("info", "running records are listed again")]
    assert stage.lines[0]["err"] in {"it was switched off; switch it on again", "a bug, switched on for this test"}
    assert stage.telemetry.listing_errors == 5


async def test_a_store_that_fails_from_the_start_leaves_nothing_to_probe_until_it_is_there() -> None:
    stage = Stage(a=HEALTHY)
    stage.records.unavailable = True
    worker = Worker(**stage.arguments())
    await ticks(worker, 2)
    assert stage.prober.probes == []
    stage.records.unavailable = False
    await worker.tick()
    assert stage.prober.probed == ["a"]


async def test_a_game_that_left_while_the_store_was_away_leaves_when_it_is_back() -> None:
    stage = Stage(a=HEALTHY, b=HEALTHY)
    worker = Worker(**stage.arguments())
    await worker.tick()
    stage.records.unavailable = True
    stage.records.remove("a")
    stage.records.put(game("c"))
    await worker.tick()
    stage.records.unavailable = False
    await worker.tick()
    assert [set(stage.prober.probed[at : at + 2]) for at in (0, 2, 4)] == [{"a", "b"}, {"a", "b"}, {"b", "c"}]


async def test_an_empty_list_is_a_good_one() -> None:
    stage = Stage(a=HEALTHY)
    worker = Worker(**stage.arguments())
    await worker.tick()
    stage.records.replace_all([])
    await worker.tick()
    assert len(stage.prober.probes) == 1
    assert stage.lines == []


async def test_a_store_that_hangs_is_a_store_that_is_away_and_is_not_asked_twice_at_once() -> None:
    stage = Stage(a=HEALTHY)
    worker = Worker(**stage.arguments())
    for at, delay in [(4.9, 22.0), (26.0, 0.0)]:
        asyncio.get_running_loop().call_later(at, setattr, stage.records, "delay", delay)
    await run_for(49.0, worker.run())
    assert len(stage.prober.probes) == 10
    assert len(stage.lines_of("list running records")) == 1
    assert stage.records.listed_at == [0.0, 5.0, 35.0, 40.0, 45.0]  # the answer of 27 served the tick at 30
    assert stage.telemetry.dropped_ticks == 0


async def test_a_question_that_is_never_answered_is_given_up_and_asked_again() -> None:
    stage = Stage(a=HEALTHY)
    for at, delay in [(4.9, 1e6), (7.0, 0.0)]:
        asyncio.get_running_loop().call_later(at, setattr, stage.records, "delay", delay)
    running = asyncio.ensure_future(run_for(59.0, Worker(**stage.arguments()).run()))
    await asyncio.sleep(7.0)
    stage.records.put(game("b"))
    await running
    assert stage.prober.probed.count("a") == 12
    assert stage.prober.probed.count("b") >= 3
    assert len(stage.lines_of("list running records")) == 1


async def test_running_records_are_listed_afresh_at_every_tick() -> None:
    stage = Stage(a=HEALTHY)
    await run_for(21.0, Worker(**stage.arguments()).run())
    assert stage.records.listed_at == [0.0, 5.0, 10.0, 15.0, 20.0]
