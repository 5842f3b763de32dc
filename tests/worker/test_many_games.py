"""Many games are listed, change or leave together: whatever else runs on the loop has its turns meanwhile."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from healthprobe._util.aio import ITEMS_A_TURN, cooperative_iter
from healthprobe.domain.event import HealthEvent
from healthprobe.domain.outcome import HEALTHY
from healthprobe.domain.policy import Thresholds
from healthprobe.domain.record import RuntimeRecord
from healthprobe.domain.schedule import AT_ONCE, Window, lanes_needed
from healthprobe.domain.target import ProbeTarget
from healthprobe.testing.contracts.samples import history
from healthprobe.testing.memory import InMemoryLog
from healthprobe.testing.prober import UNAVAILABLE, ScriptedProber
from healthprobe.testing.stage import Stage, game, run_for, ticks
from healthprobe.worker.target_set import TargetSet
from healthprobe.worker.worker import Worker

MANY = 2_000
GAMES = [game(f"game-{number}") for number in range(MANY)]
MOVED = [game(record.game_id, container="c2") for record in GAMES]
OTHERS = [game(f"other-{number}") for number in range(MANY)]

_TURNS = 500
"""More than a new list of MANY games takes."""

games = st.builds(game, st.sampled_from([f"g{number}" for number in range(12)]), st.sampled_from(["c1", "c2"]))
listings = st.lists(st.lists(games, max_size=30), min_size=1, max_size=4)
phases = st.lists(st.floats(0, 10), max_size=60).map(sorted)


class Turns:
    """How many turns everybody else on the loop has had, and how much was done in each."""

    def __init__(self) -> None:
        self.done: Counter[int] = Counter()
        self._taken = 0

    @property
    def most_done(self) -> int:
        return max(self.done.values())

    def note(self, amount: int = 1) -> None:
        self.done[self._taken] += amount

    @asynccontextmanager
    async def counted(self) -> AsyncIterator[None]:
        counting = asyncio.create_task(self._count())
        await asyncio.sleep(0)
        yield
        counting.cancel()
        await asyncio.gather(counting, return_exceptions=True)

    async def _count(self) -> None:
        for self._taken in range(_TURNS):  # not for ever: virtual time stands still while anybody is busy
            await asyncio.sleep(0)


class Watched(list[RuntimeRecord]):
    """A list of records that notes in which turn each is looked at."""

    def __init__(self, records: Iterable[RuntimeRecord], turns: Turns) -> None:
        super().__init__(records)
        self._turns = turns

    def __iter__(self) -> Iterator[RuntimeRecord]:
        for record in super().__iter__():
            self._turns.note()
            yield record


class AskedLog(InMemoryLog):
    """A log that answers at once and notes in which turn it is asked about how many games."""

    def __init__(self, turns: Turns) -> None:
        super().__init__()
        self._turns = turns

    async def last_events(self, game_ids: Iterable[str]) -> Mapping[str, HealthEvent]:
        asked = list(game_ids)
        self._turns.note(len(asked))
        return await super().last_events(asked)


class ForgettingProber(ScriptedProber):
    """A prober that notes in which turn it lets go of what."""

    def __init__(self, turns: Turns) -> None:
        super().__init__()
        self._turns = turns

    def forget(self, target: ProbeTarget) -> None:
        self._turns.note()
        super().forget(target)


async def updated(target_set: TargetSet, listings: Iterable[list[RuntimeRecord]]) -> TargetSet:
    for records in listings:
        target_set, _ = await target_set.updated(records)
    return target_set


@pytest.mark.parametrize("listing", [GAMES, MOVED, OTHERS, list(GAMES)])
async def test_a_new_list_is_looked_at_in_portions(listing: list[RuntimeRecord]) -> None:
    target_set = await updated(TargetSet(Window(0.1, 2.9), 2.0, Thresholds(3)), [GAMES])
    turns = Turns()
    async with turns.counted():
        await target_set.updated(Watched(listing, turns))
    assert sum(turns.done.values()) == MANY
    assert turns.most_done <= ITEMS_A_TURN


@pytest.mark.parametrize("following", [MOVED, OTHERS, []])
async def test_the_prober_lets_go_of_many_engines_in_portions(following: list[RuntimeRecord]) -> None:
    turns = Turns()
    stage = Stage()
    stage.records.replace_all(GAMES)
    prober = ForgettingProber(turns)
    worker = Worker(**stage.arguments(prober=prober))
    await worker.tick()
    stage.records.replace_all(following)
    async with turns.counted():
        await worker.tick()
    assert len(prober.forgotten) == MANY
    assert turns.most_done <= ITEMS_A_TURN


async def test_the_log_is_asked_about_many_games_a_thousand_at_a_time() -> None:
    turns = Turns()
    stage = Stage()
    stage.records.replace_all(GAMES)
    stage.log = AskedLog(turns)
    async with turns.counted():
        await Worker(**stage.arguments()).tick()
    assert sum(turns.done.values()) == MANY
    assert turns.most_done <= 1_000


async def test_incidents_of_many_games_are_all_read_back_before_the_first_probe() -> None:
    stage = Stage()
    stage.records.replace_all(GAMES)
    stage.log.write(*(event for record in GAMES for event in history(record.game_id, 1)))
    await ticks(Worker(**stage.arguments(max_concurrency=500)), 1)
    assert len(stage.log.events) == 2 * MANY
    assert {kind for _, kind, _ in stage.story[MANY:]} == {"probe_recovered"}


async def test_games_that_leave_while_the_log_is_asked_about_them_are_not_remembered() -> None:
    stage = Stage()
    stage.records.replace_all(GAMES)
    stage.log.delay = 1.0
    asyncio.get_running_loop().call_later(3.0, stage.records.replace_all, [])
    worker = Worker(**stage.arguments())
    await run_for(20.0, worker.run())
    assert (worker.status.states, worker.status.unread_games) == ({}, 0)


@pytest.mark.parametrize("turns", [1, 15, 30, 70, 105, 110, 120, 130, 140, 150, 160])
async def test_a_tick_that_is_cancelled_in_the_middle_of_a_new_list_leaves_one_roster_or_the_other(turns: int) -> None:
    stage = Stage()
    stage.records.replace_all(GAMES)
    worker = Worker(**stage.arguments(failures_threshold=1, max_concurrency=500))
    await worker.tick()
    stage.records.replace_all(OTHERS)
    tick = asyncio.create_task(worker.tick())
    for _ in range(turns):
        await asyncio.sleep(0)
    tick.cancel()
    await asyncio.gather(tick, return_exceptions=True)
    assert [{watched.game_id for watched in worker._discovery.target_set.games}] in [[names(GAMES)], [names(OTHERS)]]
    stage.prober.script_all_others(UNAVAILABLE)
    stage.log.write(*(event for record in OTHERS[::2] for event in history(record.game_id, 1)))
    await ticks(worker, 2)
    assert {watched.game_id for watched in worker._discovery.target_set.games} == names(OTHERS)
    assert len(stage.log.events) == MANY
    assert {event.sequence for event in stage.log.events} == {1}
    stage.prober.script_all_others(HEALTHY)
    await worker.tick()
    assert len(stage.log.events) == 2 * MANY


def names(records: Iterable[RuntimeRecord]) -> set[str]:
    return {record.game_id for record in records}


@settings(max_examples=60, deadline=None)
@given(listings)
def test_a_roster_has_each_listed_game_once_by_its_first_record_and_in_the_order_of_phases(
    listings: list[list[RuntimeRecord]],
) -> None:
    target_set = asyncio.run(updated(TargetSet(Window(0.1, 2.9), 2.0, Thresholds(3)), listings))
    ids = [record.game_id for record in listings[-1]]
    assert {watched.game_id: watched.record for watched in target_set.games} == {
        game_id: listings[-1][ids.index(game_id)] for game_id in ids
    }
    assert [watched.phase for watched in target_set.games] == list(target_set.phases) == sorted(target_set.phases)
    assert target_set.repeated == {game_id for game_id, times in Counter(ids).items() if times > 1}
    assert target_set.most_in_flight == lanes_needed(target_set.phases, 2.0)


@settings(max_examples=60, deadline=None)
@given(listings)
def test_a_change_is_the_difference_between_two_lists(listings: list[list[RuntimeRecord]]) -> None:
    before = asyncio.run(updated(TargetSet(Window(0.1, 2.9), 2.0, Thresholds(3)), listings[:-1]))
    after, change = asyncio.run(before.updated(listings[-1]))
    assert set(change.appeared) == set(after.by_id) - set(before.by_id)
    assert set(change.left) == set(before.by_id) - set(after.by_id)
    targets = {watched.target for watched in after.games}
    assert set(change.retired) == {watched.target for watched in before.games} - targets
    assert change.repeated == after.repeated - before.repeated


async def test_many_games_without_room_to_spread_are_all_due_at_once() -> None:
    target_set = await updated(TargetSet(AT_ONCE, 2.0, Thresholds(3)), [GAMES])
    assert set(target_set.phases) == {0.0}
    assert target_set.most_in_flight == len(target_set) == MANY


@settings(max_examples=60, deadline=None)
@given(phases, st.floats(0.01, 5), st.integers(0, 60))
def test_lanes_that_are_counted_in_two_steps_are_as_many_as_in_one(
    phases: list[float], timeout: float, counted: int
) -> None:
    counted = min(counted, len(phases))
    most = lanes_needed(phases[:counted], timeout)
    assert lanes_needed(phases, timeout, counted=counted, most=most) == lanes_needed(phases, timeout)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers()), st.integers(1, 10))
def test_cooperative_iteration_leaves_nothing_out_and_keeps_the_order(items: list[int], size: int) -> None:
    async def collected() -> list[int]:
        return [item async for item in cooperative_iter(items, size)]

    assert asyncio.run(collected()) == items
