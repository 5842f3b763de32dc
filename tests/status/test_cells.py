"""Every game keeps its slot, and a delta contains exactly what has changed."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.telemetry.metrics.monitored_worker import MonitoredWorker

from healthprobe.domain.fleet_status import Condition
from healthprobe.domain.outcome import HEALTHY
from healthprobe.status.cells import CONDITIONS, Cells, Delta
from healthprobe.testing.clock import VirtualTimeLoop
from healthprobe.testing.prober import UNAVAILABLE
from healthprobe.testing.stage import game, ticks


def slots(cells: Cells) -> dict[str, int]:
    return {each.game_id: slot for slot, each in enumerate(cells.games) if each is not None}


async def updated(monitored: MonitoredWorker) -> Delta:
    worker = monitored.worker.status
    return await monitored.status.cells.update(worker.target_set, worker.states, await worker.unknown_games())


async def listed(monitored: MonitoredWorker, game_ids: Iterable[str]) -> Delta:
    monitored.stage.records.replace_all([game(game_id) for game_id in game_ids])
    await ticks(monitored.worker, 1)
    return await updated(monitored)


async def test_games_get_slots_in_order_of_their_ids_and_keep_them() -> None:
    monitored = MonitoredWorker({"c": HEALTHY, "a": HEALTHY, "b": HEALTHY})
    await ticks(monitored.worker, 1)
    await updated(monitored)
    assert slots(monitored.status.cells) == {"a": 0, "b": 1, "c": 2}
    await listed(monitored, ["c", "a"])
    assert slots(monitored.status.cells) == {"a": 0, "c": 2}
    await listed(monitored, ["c", "a", "d", "e"])
    assert slots(monitored.status.cells) == {"a": 0, "d": 1, "c": 2, "e": 3}


async def test_a_game_is_unknown_until_probed_then_healthy_failing_down() -> None:
    monitored = MonitoredWorker({"a": [HEALTHY, UNAVAILABLE, UNAVAILABLE, UNAVAILABLE, HEALTHY]})
    await monitored.worker._discovery.update()
    await updated(monitored)
    conditions = [monitored.status.cells.condition("a")]
    for _ in range(5):
        await ticks(monitored.worker, 1)
        await updated(monitored)
        conditions.append(monitored.status.cells.condition("a"))
    failing = [Condition.FAILING, Condition.FAILING]
    assert conditions == [Condition.UNKNOWN, Condition.HEALTHY, *failing, Condition.DOWN, Condition.HEALTHY]


async def test_an_update_without_a_change_gives_an_empty_delta() -> None:
    monitored = MonitoredWorker({"a": HEALTHY, "b": UNAVAILABLE})
    await ticks(monitored.worker, 4)
    assert await updated(monitored)
    version = monitored.status.cells.version
    await ticks(monitored.worker, 2)
    assert not await updated(monitored)
    assert monitored.status.cells.version == version


async def test_a_game_that_moves_to_another_host_keeps_its_slot_and_is_in_the_delta() -> None:
    monitored = MonitoredWorker({"a": HEALTHY, "b": HEALTHY})
    await ticks(monitored.worker, 1)
    await updated(monitored)
    monitored.stage.records.put(game("b", endpoint="http://10.0.0.7:80"))
    await ticks(monitored.worker, 1)
    assert (await updated(monitored)).added == [(1, "b", "10.0.0.7")]
    assert monitored.status.cells.on_host == {"127.0.0.1": 1, "10.0.0.7": 1}


async def test_the_history_of_a_game_that_left_is_dropped() -> None:
    monitored = MonitoredWorker({"a": UNAVAILABLE})
    await ticks(monitored.worker, 1)
    await updated(monitored)
    await listed(monitored, [])
    assert len(monitored.histories) == len(monitored.status.cells) == 0
    assert monitored.status.cells.on_host == {}


@given(lists=st.lists(st.sets(st.sampled_from("abcdefgh")), min_size=1, max_size=8))
@settings(deadline=None, max_examples=60)
def test_all_deltas_applied_in_order_give_the_current_cells(lists: list[set[str]]) -> None:
    async def play() -> None:
        monitored = MonitoredWorker({"a": UNAVAILABLE, "b": [HEALTHY, UNAVAILABLE], "c": HEALTHY})
        ids: dict[int, str] = {}
        states: dict[int, int] = {}
        for games in lists:
            delta = await listed(monitored, games)
            for slot in delta.removed:
                del ids[slot], states[slot]
            for slot, game_id, _ in delta.added:
                ids[slot] = game_id
                states.setdefault(slot, CONDITIONS.index(Condition.UNKNOWN))
            states |= delta.changed
            cells = monitored.status.cells
            assert {game_id: slot for slot, game_id in ids.items()} == slots(cells)
            assert set(ids.values()) == games
            assert states == {slot: cells.conditions[slot] for slot in ids}
            assert sum(cells.count_of(condition) for condition in Condition) == len(games) == len(cells)

    loop = VirtualTimeLoop()
    try:
        loop.run_until_complete(play())
    finally:
        loop.close()
