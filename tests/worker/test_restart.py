"""A worker that begins anew, or is not alone: the last event of a game in the log is its state."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from healthprobe.domain.event import Details, HealthEvent, ProbeFailedDetails, ProbeRecoveredDetails
from healthprobe.domain.outcome import HEALTHY
from healthprobe.testing.clock import FIRST_INSTANT
from healthprobe.testing.memory import InMemoryLog
from healthprobe.testing.prober import UNAVAILABLE
from healthprobe.testing.stage import Stage, game, run_for, ticks
from healthprobe.worker.worker import Worker

DOWN = ProbeFailedDetails(3, 503, "unexpected status 503")


def written(game_id: str, sequence: int, details: Details) -> HealthEvent:
    return HealthEvent(sequence, game_id, "c0", FIRST_INSTANT - timedelta(hours=1), details)


@pytest.mark.proves("restart-recovery")
async def test_a_recovery_that_happened_between_two_runs_is_published_at_the_first_tick() -> None:
    stage = Stage(a=HEALTHY)
    stage.log = InMemoryLog(written("a", 1, DOWN))
    await Worker(**stage.arguments()).tick()
    assert stage.story == [("a", "probe_failed", 3), ("a", "probe_recovered", 3)]
    assert [event.sequence for event in stage.log.events] == [1, 2]


async def test_an_incident_that_lasts_over_a_restart_is_not_published_again() -> None:
    stage = Stage(a=UNAVAILABLE)
    stage.log = InMemoryLog(written("a", 1, DOWN))
    worker = Worker(**stage.arguments())
    await ticks(worker, 10)
    assert stage.story == [("a", "probe_failed", 3)]
    stage.prober.script("a", HEALTHY)
    await worker.tick()
    assert stage.story == [("a", "probe_failed", 3), ("a", "probe_recovered", 13)]


async def test_an_incident_that_was_closed_before_the_restart_needs_a_whole_new_run() -> None:
    stage = Stage(a=UNAVAILABLE)
    stage.log = InMemoryLog(written("a", 1, DOWN), written("a", 2, ProbeRecoveredDetails(4)))
    worker = Worker(**stage.arguments())
    await ticks(worker, 2)
    assert len(stage.story) == 2
    await worker.tick()
    assert stage.log.events[-1].id == "a:3"


@pytest.mark.proves("restart-open-incidents")
async def test_open_incidents_are_read_back_before_the_first_probe() -> None:
    stage = Stage(a=HEALTHY)
    stage.log = InMemoryLog(written("a", 1, DOWN))
    stage.log.delay = 0.5
    await run_for(4.0, Worker(**stage.arguments()).run())
    assert len(stage.prober.probes) == 1
    assert len(stage.story) == 2


async def test_incidents_of_games_that_do_not_run_are_left_alone() -> None:
    stage = Stage(a=HEALTHY)
    stage.log = InMemoryLog(written("a", 1, DOWN), written("z", 1, DOWN))
    worker = Worker(**stage.arguments())
    await ticks(worker, 3)
    assert [event.game_id for event in stage.log.events] == ["a", "z", "a"]
    assert "z" not in worker.status.states


async def test_while_the_log_cannot_be_read_outcomes_are_counted_and_decide_nothing() -> None:
    stage = Stage(a=UNAVAILABLE, b=UNAVAILABLE, c=HEALTHY)
    stage.log = InMemoryLog(written("a", 1, DOWN))
    stage.log.unavailable = True
    worker = Worker(**stage.arguments())
    await ticks(worker, 4)
    assert stage.prober.probed.count("a") == 4
    assert stage.log.offered == []
    stage.log.unavailable = False
    await ticks(worker, 2)
    assert [(game_id, kind) for game_id, kind, _ in stage.story] == [("a", "probe_failed"), ("b", "probe_failed")]
    stage.prober.script("a", HEALTHY)
    await worker.tick()
    assert stage.story[-1] == ("a", "probe_recovered", 3 + 6)
    assert "c" not in worker.status.states


async def test_a_worker_that_starts_while_the_log_is_unavailable_publishes_once_it_is_back() -> None:
    stage = Stage(a=HEALTHY)
    stage.log = InMemoryLog(written("a", 1, DOWN))
    stage.log.unavailable = True
    asyncio.get_running_loop().call_later(30.0, setattr, stage.log, "unavailable", False)
    await run_for(42.0, Worker(**stage.arguments()).run())
    assert stage.story == [("a", "probe_failed", 3), ("a", "probe_recovered", 3)]


async def test_a_worker_that_is_run_again_after_it_was_stopped_while_the_log_was_away_catches_up() -> None:
    stage = Stage(a=HEALTHY)
    stage.log = InMemoryLog(written("a", 1, DOWN))
    stage.log.unavailable = True
    worker = Worker(**stage.arguments())
    await run_for(30.0, worker.run())
    stage.log.unavailable = False
    await run_for(10.0, worker.run())
    assert stage.story == [("a", "probe_failed", 3), ("a", "probe_recovered", 3)]


async def test_a_restart_in_mid_outage_of_the_log_neither_repeats_nor_orphans_anything() -> None:
    stage = Stage(a=UNAVAILABLE)
    await ticks(Worker(**stage.arguments()), 3)
    stage.log.unavailable = True
    stage.prober.script("a", HEALTHY)
    await ticks(Worker(**stage.arguments()), 2)
    stage.log.unavailable = False
    await ticks(Worker(**stage.arguments()), 2)
    assert stage.story == [("a", "probe_failed", 3), ("a", "probe_recovered", 3)]


async def test_a_game_that_appears_later_is_read_back_as_it_appears() -> None:
    stage = Stage()
    stage.log = InMemoryLog(written("a", 1, DOWN))
    worker = Worker(**stage.arguments())
    await ticks(worker, 2)
    stage.records.put(game("a"))
    await worker.tick()
    assert stage.story[-1] == ("a", "probe_recovered", 3)


async def test_a_game_that_appears_among_others_in_a_run_is_read_back_while_it_is_probed() -> None:
    stage = Stage(a=HEALTHY)
    stage.log = InMemoryLog(written("b", 1, DOWN))
    running = asyncio.ensure_future(run_for(19.0, Worker(**stage.arguments()).run()))
    await asyncio.sleep(7.0)
    stage.records.put(game("b"))
    await running
    assert stage.story == [("b", "probe_failed", 3), ("b", "probe_recovered", 3)]


async def test_a_failure_that_another_instance_wrote_first_is_adopted_and_ended_by_us() -> None:
    stage = Stage(a=UNAVAILABLE)
    ours, theirs = Worker(**stage.arguments()), Worker(**stage.arguments())
    await ticks(ours, 2)
    await ticks(theirs, 3)
    await ours.tick()
    assert stage.story == [("a", "probe_failed", 3)]
    stage.prober.script("a", HEALTHY)
    await ours.tick()
    await theirs.tick()
    assert [kind for _, kind, _ in stage.story] == ["probe_failed", "probe_recovered"]


async def test_two_instances_over_one_log_never_write_a_transition_twice_and_keep_alternating() -> None:
    stage = Stage()
    stage.records.put(*(game(f"g{number}") for number in range(20)))
    sick: set[str] = set()
    stage.prober.script_all_others(lambda target: UNAVAILABLE if target.game_id in sick else HEALTHY)
    instances = [Worker(**stage.arguments(failures_threshold=2)) for _ in range(2)]
    for passed in range(60):
        sick = {f"g{number}" for number in range(20) if (passed // (number + 3)) % 2}
        for instance in instances:
            await instance.tick()
    for number in range(20):
        events = stage.log.events_of(f"g{number}")
        assert [event.sequence for event in events] == list(range(1, len(events) + 1))
        assert [event.event_type for event in events] == [
            ["probe_failed", "probe_recovered"][at % 2] for at in range(len(events))
        ]
    assert len(stage.log.events) > 60


async def test_what_another_instance_writes_between_our_decision_and_our_appending_is_adopted() -> None:
    stage = Stage(a=[UNAVAILABLE] * 4 + [HEALTHY])
    worker = Worker(**stage.arguments())
    await ticks(worker, 2)
    stage.log.delay = 1.0
    asyncio.get_running_loop().call_later(0.5, stage.log.write, written("a", 1, DOWN))
    await ticks(worker, 2)
    assert stage.log.events == [written("a", 1, DOWN)]
    assert [event.id for batch in stage.log.offered for event in batch] == ["a:1"]
    assert stage.telemetry.health_events == {}
    assert [line["stands"] for line in stage.lines_of("probe event superseded")] == ["a:1"]
    await worker.tick()
    assert stage.story == [("a", "probe_failed", 3), ("a", "probe_recovered", 4)]


async def test_an_outage_that_another_instance_opened_and_closed_meanwhile_takes_a_whole_new_run_to_open_again() -> (
    None
):
    stage = Stage(a=UNAVAILABLE)
    worker = Worker(**stage.arguments())
    await ticks(worker, 2)
    stage.log.delay = 1.0
    theirs = [written("a", 1, DOWN), written("a", 2, ProbeRecoveredDetails(3))]
    asyncio.get_running_loop().call_later(0.5, stage.log.write, *theirs)
    await ticks(worker, 3)
    assert stage.log.events == theirs
    await worker.tick()
    assert stage.story[2:] == [("a", "probe_failed", 3)]


async def test_an_outage_that_another_instance_published_whole_is_not_published_again() -> None:
    stage = Stage(a=[UNAVAILABLE] * 3 + [HEALTHY])
    worker = Worker(**stage.arguments())
    await ticks(worker, 2)
    stage.log.unavailable = True
    await worker.tick()
    theirs = [written("a", 1, DOWN), written("a", 2, ProbeRecoveredDetails(3))]
    stage.log.write(*theirs)
    stage.log.unavailable = False
    await ticks(worker, 3)
    assert stage.log.events == theirs
    assert [line["stands"] for line in stage.lines_of("probe event superseded")] == ["a:2"]


async def test_a_game_whose_last_event_was_altered_goes_on_from_its_sequence_and_says_so() -> None:
    stage = Stage(a=HEALTHY, b=UNAVAILABLE, c=UNAVAILABLE, d=HEALTHY)
    stage.log = InMemoryLog(
        written("a", 1, DOWN), written("b", 1, DOWN), written("b", 2, ProbeRecoveredDetails(4)), written("c", 1, DOWN)
    )
    for game_id, sequence in (("a", 1), ("b", 2), ("c", 1)):
        stage.log.alter(game_id, sequence)
    worker = Worker(**stage.arguments())
    await ticks(worker, 6)
    assert [(event.id, event.event_type.value) for event in stage.log.events[4:]] == [
        ("a:2", "probe_recovered"),
        ("b:3", "probe_failed"),
    ]
    lines = stage.lines_of("event altered in the log: the game's state is taken from its sequence")
    assert [(line["game_id"], line["state"], line["err"].partition(" was ")[0]) for line in lines] == [
        ("a", "probe_failed", "the event a:1 at 1 in the log"),
        ("b", "probe_recovered", "the event b:2 at 3 in the log"),
        ("c", "probe_failed", "the event c:1 at 4 in the log"),
    ]
    stage.prober.script("c", HEALTHY)
    await worker.tick()
    assert stage.log.events[-1].id == "c:2"
