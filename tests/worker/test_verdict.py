"""What a worker writes to the log about an engine, tick by tick, while everything else is well."""

from __future__ import annotations

from datetime import timedelta

import pytest

from healthprobe.domain.event import EventType, HealthEvent, ProbeFailedDetails
from healthprobe.domain.outcome import HEALTHY, Failed, Inconclusive
from healthprobe.domain.record import RuntimeRecord
from healthprobe.testing.clock import FIRST_INSTANT
from healthprobe.testing.prober import UNAVAILABLE
from healthprobe.testing.stage import Stage, game, run_for, ticks
from healthprobe.worker.worker import Worker

REFUSED = Failed(0, "connection refused")


async def test_an_engine_that_always_answers_is_never_spoken_of_and_holds_no_state() -> None:
    stage = Stage(a=HEALTHY)
    worker = Worker(**stage.arguments())
    await ticks(worker, 5)
    assert stage.prober.probed == ["a"] * 5
    assert stage.log.offered == []
    assert worker.status.states == {}


async def test_two_failures_and_a_success_leave_no_event_and_no_state() -> None:
    stage = Stage(a=[UNAVAILABLE, UNAVAILABLE, HEALTHY])
    worker = Worker(**stage.arguments())
    await ticks(worker, 2)
    assert set(worker.status.states) == {"a"}
    await worker.tick()
    assert worker.status.states == {}
    assert stage.log.offered == []


async def test_the_third_failure_in_a_row_publishes_and_the_fourth_stays_silent() -> None:
    stage = Stage(a=UNAVAILABLE)
    worker = Worker(**stage.arguments())
    await ticks(worker, 2)
    assert stage.story == []
    await worker.tick()
    assert stage.story == [("a", "probe_failed", 3)]
    await ticks(worker, 10)
    assert stage.story == [("a", "probe_failed", 3)]


async def test_the_recovery_carries_the_whole_run_and_the_next_incident_begins_at_nothing() -> None:
    stage = Stage(a=[UNAVAILABLE] * 7 + [HEALTHY] * 2 + [UNAVAILABLE] * 3)
    await ticks(Worker(**stage.arguments()), 12)
    assert stage.story == [("a", "probe_failed", 3), ("a", "probe_recovered", 7), ("a", "probe_failed", 3)]


async def test_the_last_failure_of_the_run_is_the_one_that_is_published() -> None:
    stage = Stage(a=[UNAVAILABLE, UNAVAILABLE, REFUSED])
    await ticks(Worker(**stage.arguments()), 3)
    assert stage.log.events[0].details == ProbeFailedDetails(3, 0, "connection refused")


async def test_an_event_has_its_game_its_container_its_number_and_the_instant_at_which_it_was_seen() -> None:
    stage = Stage(a=UNAVAILABLE)
    stage.records.put(game("a", container="c0ffee"))
    await run_for(11.0 + 2.0, Worker(**stage.arguments()).run())
    seen_at = FIRST_INSTANT + timedelta(seconds=stage.prober.began("a")[2])
    details = ProbeFailedDetails(3, 503, "unexpected status 503")
    assert stage.log.events == [HealthEvent(1, "a", "c0ffee", seen_at, details)]


async def test_two_engines_that_fail_are_counted_apart() -> None:
    stage = Stage(a=[UNAVAILABLE] * 3 + [HEALTHY], b=[HEALTHY] + [UNAVAILABLE] * 3)
    await ticks(Worker(**stage.arguments()), 4)
    assert sorted(stage.story) == [("a", "probe_failed", 3), ("a", "probe_recovered", 3), ("b", "probe_failed", 3)]


async def test_only_running_records_are_probed() -> None:
    stage = Stage(a=HEALTHY)
    stage.records.put(RuntimeRecord("b", "c1", "http://127.0.0.1:1", "stopped"))
    stage.records.put(RuntimeRecord("c", "c1", "http://127.0.0.1:1", "RUNNING"))
    await ticks(Worker(**stage.arguments()), 2)
    assert stage.prober.probed == ["a", "a"]


@pytest.mark.proves("invalid-endpoint")
async def test_an_endpoint_that_cannot_be_probed_fails_at_every_tick_and_hides_no_other_game() -> None:
    stage = Stage(a=HEALTHY, b=HEALTHY)
    stage.records.put(game("a", endpoint="http://h:1?x=1"))
    await ticks(Worker(**stage.arguments()), 3)
    assert stage.log.events[0].details == ProbeFailedDetails(3, 0, "invalid endpoint: it has a query (?)")
    assert stage.prober.probed.count("b") == 3


@pytest.mark.proves("own-fault-inconclusive")
async def test_an_inconclusive_outcome_is_neither_a_failure_nor_a_success() -> None:
    faulty = Inconclusive("out of file descriptors")
    stage = Stage(a=[UNAVAILABLE, faulty, UNAVAILABLE, faulty, faulty, UNAVAILABLE, faulty, HEALTHY], b=[faulty])
    worker = Worker(**stage.arguments())
    await ticks(worker, 5)
    assert stage.story == []
    await ticks(worker, 2)
    assert stage.story == [("a", "probe_failed", 3)]
    await worker.tick()
    assert stage.story == [("a", "probe_failed", 3), ("a", "probe_recovered", 3)]


async def test_telemetry_counts_every_outcome_every_event_and_every_tick() -> None:
    faulty = Inconclusive("out of file descriptors")
    stage = Stage(a=[UNAVAILABLE] * 3 + [HEALTHY], b=[HEALTHY], c=[faulty])
    await ticks(Worker(**stage.arguments()), 4)
    assert [stage.telemetry.outcomes.count(outcome) for outcome in (HEALTHY, UNAVAILABLE, faulty)] == [5, 3, 4]
    assert stage.telemetry.health_events == {EventType.PROBE_FAILED: 1, EventType.PROBE_RECOVERED: 1}
    assert [tick.games for tick in stage.telemetry.ticks] == [3] * 4
    assert stage.telemetry.dropped_ticks == 0
