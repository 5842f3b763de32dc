"""Alerters that are left out of a run and come back, clocks that are set back, and labels that look like ours."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from tests.alarms.conftest import ON_CALL, AlarmStage, game_on

from healthprobe.alarms.fleet import labels_of
from healthprobe.domain.alarms.alert import AlertRoute
from healthprobe.domain.record import RuntimeRecord
from healthprobe.testing.memory import InMemoryAlerter

PAGER = "memory:pager"
BOTH = (AlertRoute(ON_CALL), AlertRoute(PAGER))


class Repeating(InMemoryAlerter):
    repeat_interval = 60.0


async def test_what_an_alerter_was_sent_before_it_was_left_out_is_resolved_in_full_when_it_is_back(
    alarm_stage: AlarmStage,
) -> None:
    stage, pager = alarm_stage, InMemoryAlerter()
    both = {ON_CALL: {"on-call": stage.on_call}, PAGER: {"pager": pager}}
    stage.fail("a1")
    await stage.run(2.0, wait=0.0, routes=BOTH, alerters=both)
    await stage.run(2.0, wait=0.0)
    stage.recover("a1")
    for _ in range(2):
        await stage.run(2.0, wait=0.0)
    assert (stage.open, list(pager.open)) == ([], ["log-1/a1:1"])
    await stage.run(2.0, wait=0.0, routes=BOTH, alerters=both)
    [over] = pager.resolved
    assert over.alert.labels == {"game_id": "a1", "host": "h1"}
    assert over.resolved_at == stage.log.events[1].occurred_at
    assert len(stage.on_call.resolved) == 1
    await stage.run(2.0, wait=0.0, routes=BOTH, alerters=both)
    assert await stage.log.documents("alert") == {}


async def test_an_alerter_that_is_left_out_while_it_has_open_alerts_is_named(alarm_stage: AlarmStage) -> None:
    stage, pager = alarm_stage, InMemoryAlerter()
    stage.fail("a1", "b1")
    await stage.run(2.0, wait=0.0, routes=BOTH, alerters={ON_CALL: {"on-call": stage.on_call}, PAGER: {"pager": pager}})
    assert stage.stage.lines_of("an alerter is not among those of this run") == []
    await stage.run(2.0, wait=0.0)
    [line] = [line for line in stage.stage.lines if line["event"].startswith("an alerter is not among those of")]
    assert (line["publisher"], line["alerts"]) == ("pager", 2)


async def test_a_clock_that_is_set_back_delays_no_alert_by_more_than_the_wait(alarm_stage: AlarmStage) -> None:
    stage = alarm_stage
    running = asyncio.ensure_future(stage.run(100.0, wait=10.0))
    await asyncio.sleep(2.5)
    stage.fail("a1")
    await asyncio.sleep(5.0)
    stage.clock.step(-3600.0)
    await asyncio.sleep(12.0)
    assert stage.open == [("a1",)]
    running.cancel()


async def test_a_clock_that_is_set_back_delays_no_member_of_a_group(alarm_stage: AlarmStage) -> None:
    stage = alarm_stage
    running = asyncio.ensure_future(stage.run(100.0, wait=5.0))
    stage.fail("a0", "a1", "a2", "a3", "a4")
    await asyncio.sleep(7.0)
    stage.clock.step(-3600.0)
    stage.fail("a5")
    await asyncio.sleep(8.0)
    assert stage.open == [("a0", "a1", "a2", "a3", "a4", "a5")]
    running.cancel()


async def test_a_game_that_is_listed_again_and_answers_is_not_told_of(alarm_stage: AlarmStage) -> None:
    stage, games = alarm_stage, alarm_stage.games
    running = asyncio.ensure_future(stage.run(1000.0, wait=0.0, probed_within=timedelta(seconds=7)))
    await asyncio.sleep(10.0)
    stage.fail("a1", "b1")
    await asyncio.sleep(1.5)
    assert stage.open == [("a1",), ("b1",)], "what fails while we look is told at once"
    stage.games, stage.gone = list(games)[2:-1], {"a1", "b1"}
    await asyncio.sleep(5.0)
    assert stage.open == []
    stage.games, stage.gone = list(games), set()
    await asyncio.sleep(5.0)
    stage.recover("a1")
    await asyncio.sleep(1.0)
    assert stage.open == []
    await asyncio.sleep(3.0)
    assert stage.open == [("b1",)], "the other one still does not answer"
    assert len(stage.on_call.fired) == 3
    running.cancel()


async def test_what_recovered_while_nobody_looked_is_not_told_of_at_a_start(alarm_stage: AlarmStage) -> None:
    stage = alarm_stage
    stage.fail("a1", "b1")
    stage.clock.step(3600.0)
    running = asyncio.ensure_future(stage.run(100.0, wait=5.0, probed_within=timedelta(seconds=7)))
    await asyncio.sleep(6.0)
    assert stage.open == []
    stage.recover("a1")
    await asyncio.sleep(2.5)
    assert stage.open == [("b1",)]
    assert len(stage.on_call.fired) == 1
    running.cancel()


async def test_an_instance_that_another_has_taken_over_from_repeats_nothing(alarm_stage: AlarmStage) -> None:
    stage, repeating = alarm_stage, Repeating()
    duties = {"ours"}
    stage.fail("a1")
    alarms = stage.alarms(wait=0.0, alerters={ON_CALL: {"on-call": repeating}}, is_ours=lambda: bool(duties))
    running = asyncio.ensure_future(stage.run(1000.0, alarms))
    await asyncio.sleep(1.0)
    assert len(repeating.fired) == 1
    stage.clock.step(60.0)
    duties.clear()
    await asyncio.sleep(60.0)
    assert len(repeating.fired) == 1
    running.cancel()


def test_a_record_cannot_pass_for_another_game_or_host() -> None:
    record = RuntimeRecord("a1", "c1", "http://h1:8080", labels={"host": "h2", "game_id": "a2", "team": "eu"})
    assert labels_of(record) == {"host": "h1", "game_id": "a1", "team": "eu"}
    assert labels_of(game_on("h1", "a1")) == {"host": "h1", "game_id": "a1"}
