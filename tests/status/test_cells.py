"""Every game keeps its slot, and a delta contains exactly what has changed."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.telemetry.metrics.scene import Scene

from healthprobe.domain.fleet_status import Condition
from healthprobe.domain.outcome import HEALTHY
from healthprobe.status.cells import CONDITIONS, Cells, Delta
from healthprobe.testing.clock import VirtualTimeLoop
from healthprobe.testing.prober import UNAVAILABLE
from healthprobe.testing.stage import game, ticks


def places(cells: Cells) -> dict[str, int]:
    return {each.game_id: place for place, each in enumerate(cells.games) if each is not None}


async def looked(scene: Scene) -> Delta:
    return await scene.status.cells.update(scene.worker.status.target_set, scene.worker.status.states)


async def listed(scene: Scene, game_ids: Iterable[str]) -> Delta:
    scene.stage.records.replace_all([game(game_id) for game_id in game_ids])
    await ticks(scene.worker, 1)
    return await looked(scene)


async def test_games_get_slots_in_order_of_their_ids_and_keep_them() -> None:
    scene = Scene({"c": HEALTHY, "a": HEALTHY, "b": HEALTHY})
    await ticks(scene.worker, 1)
    await looked(scene)
    assert places(scene.status.cells) == {"a": 0, "b": 1, "c": 2}
    await listed(scene, ["c", "a"])
    assert places(scene.status.cells) == {"a": 0, "c": 2}
    await listed(scene, ["c", "a", "d", "e"])
    assert places(scene.status.cells) == {"a": 0, "d": 1, "c": 2, "e": 3}


async def test_a_game_is_unknown_until_probed_then_healthy_failing_down() -> None:
    scene = Scene({"a": [HEALTHY, UNAVAILABLE, UNAVAILABLE, UNAVAILABLE, HEALTHY]})
    await scene.worker._discovery.update()
    await looked(scene)
    conditions = [scene.status.cells.condition("a")]
    for _ in range(5):
        await ticks(scene.worker, 1)
        await looked(scene)
        conditions.append(scene.status.cells.condition("a"))
    failing = [Condition.FAILING, Condition.FAILING]
    assert conditions == [Condition.UNKNOWN, Condition.HEALTHY, *failing, Condition.DOWN, Condition.HEALTHY]


async def test_an_update_without_a_change_gives_an_empty_delta() -> None:
    scene = Scene({"a": HEALTHY, "b": UNAVAILABLE})
    await ticks(scene.worker, 4)
    assert await looked(scene)
    version = scene.status.cells.version
    await ticks(scene.worker, 2)
    assert not await looked(scene)
    assert scene.status.cells.version == version


async def test_a_game_that_moves_to_another_host_keeps_its_slot_and_is_in_the_delta() -> None:
    scene = Scene({"a": HEALTHY, "b": HEALTHY})
    await ticks(scene.worker, 1)
    await looked(scene)
    scene.stage.records.put(game("b", endpoint="http://10.0.0.7:80"))
    await ticks(scene.worker, 1)
    assert (await looked(scene)).added == [(1, "b", "10.0.0.7")]
    assert scene.status.cells.on_host == {"127.0.0.1": 1, "10.0.0.7": 1}


async def test_the_history_of_a_game_that_left_is_dropped() -> None:
    scene = Scene({"a": UNAVAILABLE})
    await ticks(scene.worker, 1)
    await looked(scene)
    await listed(scene, [])
    assert len(scene.histories) == len(scene.status.cells) == 0
    assert scene.status.cells.on_host == {}


@given(lists=st.lists(st.sets(st.sampled_from("abcdefgh")), min_size=1, max_size=8))
@settings(deadline=None, max_examples=60)
def test_all_deltas_applied_in_order_give_the_current_cells(lists: list[set[str]]) -> None:
    async def watched() -> None:
        scene = Scene({"a": UNAVAILABLE, "b": [HEALTHY, UNAVAILABLE], "c": HEALTHY})
        seen: dict[int, str] = {}
        states: dict[int, int] = {}
        for games in lists:
            delta = await listed(scene, games)
            for place in delta.removed:
                del seen[place], states[place]
            for place, game_id, _ in delta.added:
                seen[place] = game_id
                states.setdefault(place, CONDITIONS.index(Condition.UNKNOWN))
            states |= delta.changed
            cells = scene.status.cells
            assert {game_id: place for place, game_id in seen.items()} == places(cells)
            assert set(seen.values()) == games
            assert states == {place: cells.conditions[place] for place in seen}
            assert sum(cells.count_of(condition) for condition in Condition) == len(games) == len(cells)

    loop = VirtualTimeLoop()
    try:
        loop.run_until_complete(watched())
    finally:
        loop.close()
