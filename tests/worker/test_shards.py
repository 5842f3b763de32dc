"""A worker with shards: it watches those that are its own, as long as they are, and decides about no other."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence

import pytest

from healthprobe.domain.event import HealthEvent, ProbeFailedDetails
from healthprobe.domain.outcome import HEALTHY
from healthprobe.domain.schedule import phase_fraction, spread_window
from healthprobe.domain.shard import shard_of
from healthprobe.testing.leases import ScriptedLeases
from healthprobe.testing.memory import InMemoryLog
from healthprobe.testing.prober import UNAVAILABLE, Answer, Late
from healthprobe.testing.stage import Stage, game, run_for, ticks
from healthprobe.worker.static_shards import StaticShards
from healthprobe.worker.worker import Worker

A, B = shard_of("a"), shard_of("b")


def probed(stage: Stage, *, after: float = -1.0) -> set[str]:
    return {probe.game_id for probe in stage.prober.probes if probe.began > after}


async def test_only_games_of_its_shards_are_probed() -> None:
    stage = Stage(a=HEALTHY, b=HEALTHY)
    await ticks(Worker(**stage.arguments(shards=ScriptedLeases([A]))), 2)
    assert probed(stage) == {"a"}


@pytest.mark.parametrize("count", [256, 3, 1000])
async def test_the_parts_of_a_fleet_probe_all_of_it_and_no_game_twice(count: int) -> None:
    games = [f"g{number}" for number in range(300)]
    stage = Stage(**dict.fromkeys(games, HEALTHY))
    for number in range(3):
        part = StaticShards(frozenset(range(number, count, 3)), shard_count=count)
        await Worker(**stage.arguments(shards=part)).tick()
    assert sorted(probe.game_id for probe in stage.prober.probes) == sorted(games)


async def test_a_shard_that_is_given_in_the_middle_of_a_tick_has_all_its_games_probed_within_an_interval() -> None:
    games: dict[str, Answer] = {f"g{number}": HEALTHY for number in range(400)}
    stage = Stage(**games)
    tenure = ScriptedLeases([])
    running = asyncio.ensure_future(run_for(11.0, Worker(**stage.arguments(shards=tenure)).run()))
    await asyncio.sleep(1.5)
    tenure.give(*range(256))
    await running
    first: dict[str, float] = {}
    for probe in stage.prober.probes:
        first.setdefault(probe.game_id, probe.began)
    assert set(first) == set(games)
    assert max(first.values()) < 1.5 + 5.0 + 0.2
    assert min(first.values()) < 1.6, "what was still due in this tick did not wait for the next"


async def test_a_turn_that_passes_while_its_shard_is_being_taken_over_is_made_up_for_at_once() -> None:
    games: dict[str, Answer] = {f"g{number}": HEALTHY for number in range(400)}
    stage = Stage(**games)
    stage.records.delay = 0.5
    tenure = ScriptedLeases(range(128))
    running = asyncio.ensure_future(run_for(4.9, Worker(**stage.arguments(shards=tenure)).run()))
    await asyncio.sleep(1.5)
    tenure.give(*range(128, 256))
    await running
    window = spread_window(5.0, 2.0)
    due = {game_id: window.phase(phase_fraction(game_id)) for game_id in games if shard_of(game_id) >= 128}
    began = {probe.game_id: probe.began for probe in stage.prober.probes}
    assert len(began) == len(stage.prober.probes), "no game has two turns"
    assert began.keys() & due.keys() == {game_id for game_id in due if due[game_id] > 1.5}
    made_up_for = [began[game_id] for game_id in began.keys() & due.keys() if due[game_id] < 2.0]
    assert len(made_up_for) > 20
    assert min(made_up_for) >= 2.0
    assert max(made_up_for) < 2.1


async def test_shards_that_come_one_after_the_other_are_each_taken_over_at_once_however_long_that_takes() -> None:
    games: dict[str, Answer] = {f"g{number}": HEALTHY for number in range(400)}
    stage = Stage(**games)
    stage.records.delay = 0.5
    tenure = ScriptedLeases([])
    worker = Worker(**stage.arguments(shards=tenure))
    running = asyncio.ensure_future(run_for(4.0, worker.run()))
    await asyncio.sleep(1.0)
    tenure.give(*range(128))
    await asyncio.sleep(0.2)
    tenure.give(*range(128, 256))
    await asyncio.sleep(1.0)
    assert worker.games == 400
    await running


async def test_no_game_has_two_turns_in_a_tick_because_a_shard_came() -> None:
    games: dict[str, Answer] = {f"g{number}": HEALTHY for number in range(200)}
    stage = Stage(**games)
    tenure = ScriptedLeases(range(128))
    running = asyncio.ensure_future(run_for(4.9, Worker(**stage.arguments(shards=tenure)).run()))
    for shard in range(128, 256):
        await asyncio.sleep(0.02)
        tenure.give(shard)
    await running
    counts = [probe.game_id for probe in stage.prober.probes]
    assert len(counts) == len(set(counts))


async def test_a_shard_that_is_lost_is_not_probed_any_more() -> None:
    stage = Stage(a=HEALTHY, b=HEALTHY)
    tenure = ScriptedLeases()
    running = asyncio.ensure_future(run_for(20.0, Worker(**stage.arguments(shards=tenure)).run()))
    await asyncio.sleep(5.01)
    tenure.lose(A)
    await running
    assert probed(stage, after=5.2) == {"b"}


async def test_what_a_probe_finds_after_its_shard_was_lost_decides_nothing() -> None:
    stage = Stage(a=[Late(1.0, UNAVAILABLE)])
    tenure = ScriptedLeases()
    worker = Worker(**stage.arguments(shards=tenure, failures_threshold=1))
    asyncio.get_running_loop().call_later(0.5, tenure.lose, A)
    await worker.tick()
    assert stage.log.events == []


async def test_what_a_probe_finds_that_began_before_its_shard_came_back_decides_nothing() -> None:
    stage = Stage(a=[Late(1.0, UNAVAILABLE), HEALTHY])
    tenure = ScriptedLeases()
    worker = Worker(**stage.arguments(shards=tenure, failures_threshold=1))
    loop = asyncio.get_running_loop()
    loop.call_later(0.4, tenure.lose, A)
    loop.call_later(0.6, tenure.give, A)
    await worker.tick()
    assert stage.log.events == []


async def test_a_decision_waits_while_its_lease_cannot_be_renewed_and_enters_when_it_is() -> None:
    stage = Stage(a=UNAVAILABLE)
    tenure = ScriptedLeases()
    tenure.confirming = False
    worker = Worker(**stage.arguments(shards=tenure))
    await ticks(worker, 4)
    assert stage.log.events == []
    assert [line["err"] for line in stage.lines_of("publish health event")] == [
        "the lease of its shard could not be renewed"
    ]
    tenure.confirming = True
    await worker.tick()
    assert stage.story == [("a", "probe_failed", 3)]


async def test_the_lease_of_just_the_shards_concerned_is_confirmed_before_an_append() -> None:
    stage = Stage(a=UNAVAILABLE, b=HEALTHY)
    tenure = ScriptedLeases()
    await ticks(Worker(**stage.arguments(shards=tenure)), 5)
    assert tenure.confirmed == [frozenset({A})]


async def test_a_decision_about_a_shard_that_another_instance_has_by_now_is_dropped() -> None:
    stage = Stage(a=[HEALTHY, UNAVAILABLE])
    tenure = ScriptedLeases()
    worker = Worker(**stage.arguments(shards=tenure))
    await worker.tick()
    stage.log.unavailable = True
    await ticks(worker, 3)
    tenure.lose(A)
    stage.log.unavailable = False
    await ticks(worker, 2)
    assert stage.log.events == []
    assert [batch for batch in stage.log.offered if batch] != [], "it had been offered while it was ours"


async def test_what_was_decided_is_in_the_log_before_a_shard_is_handed_over() -> None:
    stage = Stage(a=UNAVAILABLE)
    tenure = ScriptedLeases()
    tenure.confirming = False
    worker = Worker(**stage.arguments(shards=tenure))
    await ticks(worker, 3)
    assert stage.log.events == []
    await tenure.hand_over(A)
    assert stage.story == [("a", "probe_failed", 3)]


async def test_a_cluster_of_a_thousand_shards_hands_over_and_confirms_by_these() -> None:
    first, second = shard_of("a", 1000), shard_of("b", 1000)
    stage = Stage(a=UNAVAILABLE, b=UNAVAILABLE)
    tenure = ScriptedLeases(range(1000), shard_count=1000)
    worker = Worker(**stage.arguments(shards=tenure))
    await worker.tick()
    stage.log.unavailable = True
    await ticks(worker, 2)
    assert tenure.confirmed[-1] == {first, second}
    stage.log.unavailable = False
    await tenure.hand_over(first)
    assert stage.story == [("a", "probe_failed", 3)]
    await worker.tick()
    assert stage.story == [("a", "probe_failed", 3), ("b", "probe_failed", 3)]


async def test_what_the_log_does_not_take_as_a_shard_is_handed_over_is_left_to_the_next_owner() -> None:
    stage = Stage(a=[HEALTHY, UNAVAILABLE])
    tenure = ScriptedLeases()
    ours = Worker(**stage.arguments(shards=tenure))
    await ours.tick()
    stage.log.unavailable = True
    await ticks(ours, 3)
    await tenure.hand_over(A)
    stage.log.unavailable = False
    await ticks(ours, 2)
    assert stage.log.events == []
    await ticks(Worker(**stage.arguments(shards=ScriptedLeases())), 3)
    assert stage.story == [("a", "probe_failed", 3)]


async def test_the_next_owner_knows_an_open_incident_and_ends_it() -> None:
    stage = Stage(a=[*[UNAVAILABLE] * 4, HEALTHY])
    ours, theirs = ScriptedLeases(), ScriptedLeases([])
    first, second = (Worker(**stage.arguments(shards=tenure)) for tenure in (ours, theirs))
    await ticks(first, 4)
    await ours.hand_over(A)
    theirs.give(A)
    await first.tick()
    await second.tick()
    assert stage.story == [("a", "probe_failed", 3), ("a", "probe_recovered", 3)]


async def test_a_shard_that_goes_and_comes_back_starts_its_counts_afresh() -> None:
    stage = Stage(a=UNAVAILABLE)
    tenure = ScriptedLeases()
    worker = Worker(**stage.arguments(shards=tenure))
    await ticks(worker, 2)
    tenure.lose(A)
    await worker.tick()
    tenure.give(A)
    await ticks(worker, 2)
    assert stage.log.events == []
    await worker.tick()
    assert stage.story == [("a", "probe_failed", 3)]


async def test_what_others_published_about_a_shard_that_was_lost_and_regained_is_known() -> None:
    stage = Stage(a=[*[UNAVAILABLE] * 3, HEALTHY])
    tenure = ScriptedLeases()
    ours, theirs = (Worker(**stage.arguments(shards=each)) for each in (tenure, ScriptedLeases()))
    await ours.tick()
    await asyncio.sleep(1.0)
    tenure.lose(A)
    stage.prober.script("a", UNAVAILABLE)
    await ticks(theirs, 3)
    stage.prober.script("a", HEALTHY)
    tenure.give(A)
    await ticks(ours, 2)
    assert stage.story == [("a", "probe_failed", 3), ("a", "probe_recovered", 3)]


async def test_what_was_decided_about_a_shard_that_was_lost_and_back_before_anybody_looked_is_dropped() -> None:
    stage = Stage(a=[HEALTHY, *[UNAVAILABLE] * 3, HEALTHY])
    tenure = ScriptedLeases()
    worker = Worker(**stage.arguments(shards=tenure))
    await worker.tick()
    stage.log.unavailable = True
    await ticks(worker, 3)
    await asyncio.sleep(1.0)
    tenure.lose(A)
    tenure.give(A)
    stage.log.unavailable = False
    await ticks(worker, 3)
    assert stage.log.events == []


class LateAnswers(InMemoryLog):
    """Does at once what it is asked to, and returns `late` seconds later."""

    def __init__(self) -> None:
        super().__init__()
        self.late = 0.0
        self.has_taken = asyncio.Event()

    async def last_events(self, game_ids: Iterable[str]) -> Mapping[str, HealthEvent]:
        reported = await super().last_events(game_ids)
        await asyncio.sleep(self.late)
        return reported

    async def append(self, events: Sequence[HealthEvent]) -> Sequence[HealthEvent | None]:
        standing = await super().append(events)
        self.has_taken.set()
        await asyncio.sleep(self.late)
        return standing


async def test_an_answer_of_the_log_from_before_a_shard_was_lost_is_outdated_once_it_is_back() -> None:
    stage = Stage(a=HEALTHY)
    stage.log = log = LateAnswers()
    log.late = 3.0
    tenure = ScriptedLeases()
    running = asyncio.ensure_future(run_for(15.0, Worker(**stage.arguments(shards=tenure)).run()))
    await asyncio.sleep(1.0)
    log.late = 0.0
    tenure.lose(A)
    await asyncio.sleep(0.5)
    log.write(HealthEvent(1, "a", "c1", stage.clock.now(), ProbeFailedDetails(3, 503, "unexpected status 503")))
    tenure.give(A)
    await running
    assert stage.story == [("a", "probe_failed", 3), ("a", "probe_recovered", 3)]


async def test_what_stood_in_the_log_before_a_shard_was_lost_is_not_taken_for_what_stands_once_it_is_back() -> None:
    stage = Stage(a=[*[UNAVAILABLE] * 3, HEALTHY])
    stage.log = log = LateAnswers()
    tenure = ScriptedLeases()
    running = asyncio.ensure_future(run_for(40.0, Worker(**stage.arguments(shards=tenure)).run()))
    await asyncio.sleep(14.9)
    log.late = 3.0
    log.has_taken.clear()
    await log.has_taken.wait()
    log.late = 0.0
    tenure.lose(A)
    await asyncio.sleep(0.5)
    log.write(HealthEvent(3, "a", "c1", stage.clock.now(), ProbeFailedDetails(3, 503, "unexpected status 503")))
    tenure.give(A)
    await running
    assert [event.event_type.value for event in log.events] == ["probe_failed", "probe_recovered"] * 2


@pytest.mark.parametrize("at", [0.05, 1.7, 3.3, 4.4])
async def test_shards_that_move_between_two_workers_at_any_time_cost_and_double_no_event(at: float) -> None:
    sick: list[Answer] = [*[UNAVAILABLE] * 7, HEALTHY]
    stage = Stage(**dict.fromkeys([f"g{number}" for number in range(60)], sick))
    ours, theirs = ScriptedLeases(), ScriptedLeases([])
    workers = [Worker(**stage.arguments(shards=tenure)) for tenure in (ours, theirs)]
    running = [asyncio.ensure_future(run_for(90.0, worker.run())) for worker in workers]
    for passed, moved in enumerate((range(0, 256, 2), range(0, 256, 3), range(256))):
        await asyncio.sleep(15.0 + at - passed * 0.3)
        moving = ours.shards.intersection(moved)
        await ours.hand_over(*moving)
        theirs.give(*moving)
    await asyncio.gather(*running)
    for number in range(60):
        kinds = [event.event_type.value for event in stage.log.events_of(f"g{number}")]
        assert kinds == ["probe_failed", "probe_recovered"]


async def test_a_game_that_starts_in_a_shard_of_another_is_no_newcomer_here() -> None:
    stage = Stage(a=HEALTHY)
    worker = Worker(**stage.arguments(shards=ScriptedLeases([A])))
    running = asyncio.ensure_future(run_for(9.0, worker.run()))
    await asyncio.sleep(4.0)
    stage.records.put(game("b"))
    worker.refresh()
    await running
    assert probed(stage) == {"a"}
