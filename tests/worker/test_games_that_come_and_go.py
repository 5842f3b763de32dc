"""Games start, stop, move, and are listed wrongly: what becomes of their counts, incidents and targets."""

from __future__ import annotations

import pytest

from healthprobe.domain.outcome import HEALTHY
from healthprobe.testing.prober import UNAVAILABLE
from healthprobe.testing.stage import Stage, game, ticks
from healthprobe.worker.worker import Worker

FAILED = ("a", "probe_failed", 3)


async def test_a_game_that_leaves_and_comes_back_starts_clean() -> None:
    stage = Stage(a=UNAVAILABLE)
    worker = Worker(**stage.arguments())
    await ticks(worker, 2)
    stage.records.remove("a")
    await worker.tick()
    assert worker.status.states == {}
    stage.records.put(game("a"))
    await ticks(worker, 2)
    assert stage.story == []
    await worker.tick()
    assert stage.story == [FAILED]


@pytest.mark.proves("absent-recovered")
async def test_a_game_that_was_absent_in_its_incident_and_is_well_has_recovered() -> None:
    stage = Stage(a=[*[UNAVAILABLE] * 5, HEALTHY])
    worker = Worker(**stage.arguments())
    await ticks(worker, 5)
    stage.records.remove("a")
    await worker.tick()
    stage.records.put(game("a"))
    await worker.tick()
    assert stage.story == [FAILED, ("a", "probe_recovered", 3)]


@pytest.mark.proves("absent-still-failing")
async def test_a_game_that_was_absent_during_its_incident_and_still_fails_is_not_published_again() -> None:
    stage = Stage(a=UNAVAILABLE)
    worker = Worker(**stage.arguments())
    await ticks(worker, 3)
    stage.records.remove("a")
    await worker.tick()
    stage.records.put(game("a"))
    await ticks(worker, 4)
    assert stage.story == [FAILED]
    stage.prober.script("a", HEALTHY)
    await worker.tick()
    assert stage.story == [FAILED, ("a", "probe_recovered", 7)]


async def test_a_game_that_stops_running_is_not_probed_though_its_record_stays() -> None:
    stage = Stage(a=UNAVAILABLE)
    worker = Worker(**stage.arguments())
    await ticks(worker, 2)
    stage.records.remove("a")
    await ticks(worker, 3)
    assert len(stage.prober.probes) == 2


@pytest.mark.proves("new-container")
async def test_two_failures_of_the_old_container_are_not_blamed_on_the_new_one() -> None:
    stage = Stage(a=UNAVAILABLE)
    worker = Worker(**stage.arguments())
    await ticks(worker, 2)
    stage.records.put(game("a", container="c2"))
    await ticks(worker, 2)
    assert stage.story == []
    await worker.tick()
    assert stage.story == [FAILED]
    assert stage.log.events[0].container_id == "c2"


async def test_an_open_incident_stays_open_over_a_new_container_which_is_named_as_it_recovers() -> None:
    stage = Stage(a=UNAVAILABLE)
    worker = Worker(**stage.arguments())
    await ticks(worker, 3)
    stage.records.put(game("a", container="c2"))
    await ticks(worker, 2)
    assert stage.story == [FAILED]
    stage.prober.script("a", HEALTHY)
    await worker.tick()
    assert stage.story == [FAILED, ("a", "probe_recovered", 5)]
    assert [event.container_id for event in stage.log.events] == ["c1", "c2"]


async def test_a_game_that_is_listed_twice_is_probed_once_and_counts_once_a_tick() -> None:
    stage = Stage(a=UNAVAILABLE)
    stage.records.replace_all([game("a"), game("a")])
    worker = Worker(**stage.arguments())
    await ticks(worker, 2)
    assert stage.prober.probed == ["a", "a"]
    assert stage.story == []


@pytest.mark.proves("duplicate-no-flap")
async def test_a_healthy_and_a_failing_endpoint_of_one_game_do_not_flap() -> None:
    sick = "http://127.0.0.1:9"
    stage = Stage(a=lambda target: UNAVAILABLE if ":9" in str(target.endpoint) else HEALTHY)
    stage.records.replace_all([game("a"), game("a", endpoint=sick)])
    await ticks(Worker(**stage.arguments(failures_threshold=1)), 8)
    assert stage.story == []


@pytest.mark.proves("duplicate-warned-once")
async def test_a_duplicate_is_warned_of_once_however_often_it_is_listed() -> None:
    stage = Stage(a=HEALTHY, b=HEALTHY)
    worker = Worker(**stage.arguments())
    for _ in range(4):
        stage.records.replace_all([game("a"), game("b"), game("a"), game("a")])
        await worker.tick()
    warnings = [line for line in stage.lines if line["log_level"] == "warning"]
    assert [line["game_id"] for line in warnings] == ["a"]
    stage.records.replace_all([game("a"), game("b"), game("a"), game("b")])
    await worker.tick()
    assert [line["game_id"] for line in stage.lines if line["log_level"] == "warning"] == ["a", "b"]


async def test_the_prober_lets_go_of_a_game_that_left() -> None:
    stage = Stage(a=HEALTHY, b=HEALTHY)
    worker = Worker(**stage.arguments())
    await worker.tick()
    stage.records.remove("a")
    await ticks(worker, 3)
    assert [target.game_id for target in stage.prober.forgotten] == ["a"]


async def test_a_record_that_changed_gets_a_new_target_and_the_prober_lets_go_of_the_old_one() -> None:
    stage = Stage(a=HEALTHY)
    worker = Worker(**stage.arguments())
    await worker.tick()
    stage.records.put(game("a", container="c2"))
    await worker.tick()
    stage.records.put(game("a", container="c2", endpoint="http://127.0.0.1:8081"))
    await worker.tick()
    targets = [probe.target for probe in stage.prober.probes]
    assert len(set(targets)) == 3
    assert stage.prober.forgotten == targets[:2]


async def test_a_record_that_did_not_change_keeps_its_target_though_the_list_is_a_new_one() -> None:
    stage = Stage(a=HEALTHY)
    worker = Worker(**stage.arguments())
    for _ in range(3):
        stage.records.replace_all([game("a")])
        await worker.tick()
    assert len({probe.target for probe in stage.prober.probes}) == 1
    assert stage.prober.forgotten == []


async def test_a_failing_game_that_leaves_while_the_log_is_unavailable_is_still_published() -> None:
    stage = Stage(a=UNAVAILABLE)
    worker = Worker(**stage.arguments())
    await ticks(worker, 2)
    stage.log.unavailable = True
    await worker.tick()
    stage.records.remove("a")
    await ticks(worker, 2)
    stage.log.unavailable = False
    await worker.tick()
    assert stage.story == [FAILED]


async def test_a_game_that_left_and_came_back_while_its_failure_waited_is_published_once_and_then_recovers() -> None:
    stage = Stage(a=[UNAVAILABLE, UNAVAILABLE, UNAVAILABLE, HEALTHY])
    worker = Worker(**stage.arguments())
    await ticks(worker, 2)
    stage.log.unavailable = True
    await worker.tick()
    stage.records.remove("a")
    await worker.tick()
    stage.records.put(game("a", container="c2"))
    await ticks(worker, 3)
    stage.log.unavailable = False
    await ticks(worker, 2)
    assert stage.story == [FAILED, ("a", "probe_recovered", 3)]
    assert [event.container_id for event in stage.log.events] == ["c1", "c2"]


async def test_failures_after_it_came_back_belong_to_the_incident_that_still_waits_for_the_log() -> None:
    stage = Stage(a=[*[UNAVAILABLE] * 5, HEALTHY])
    worker = Worker(**stage.arguments())
    await ticks(worker, 2)
    stage.log.unavailable = True
    await worker.tick()
    stage.records.remove("a")
    await worker.tick()
    stage.records.put(game("a"))
    await ticks(worker, 3)
    stage.log.unavailable = False
    await ticks(worker, 2)
    assert stage.story == [FAILED, ("a", "probe_recovered", 5)]
