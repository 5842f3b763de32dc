"""Which games are gone, by the listings of the store."""

from __future__ import annotations

import pytest

from healthprobe.domain.outcome import HEALTHY
from healthprobe.testing.leases import ScriptedLeases
from healthprobe.testing.prober import UNAVAILABLE
from healthprobe.testing.stage import Stage, game, ticks
from healthprobe.worker.worker import Worker


async def gone(worker: Worker, *game_ids: str) -> set[str]:
    found = set(await worker.status.gone_games(game_ids))
    assert found == {game_id for game_id in game_ids if worker.status.is_gone(game_id)}
    return found


async def test_a_game_is_gone_at_the_third_listing_without_it() -> None:
    stage = Stage(a=UNAVAILABLE, b=HEALTHY)
    worker = Worker(**stage.arguments())
    await ticks(worker, 3)
    stage.records.remove("a")
    for expected in (set(), set(), {"a"}, {"a"}):
        await worker.tick()
        assert await gone(worker, "a", "b") == expected
    stage.records.put(game("a"))
    await worker.tick()
    assert await gone(worker, "a", "b") == set()


async def test_a_listing_that_failed_ends_nothing() -> None:
    stage = Stage(a=UNAVAILABLE, b=HEALTHY)
    worker = Worker(**stage.arguments())
    await worker.tick()
    stage.records.remove("a")
    await ticks(worker, 2)
    stage.records.unavailable = True
    await ticks(worker, 5)
    assert await gone(worker, "a") == set()
    stage.records.unavailable = False
    await worker.tick()
    assert await gone(worker, "a") == {"a"}


async def test_nothing_is_gone_before_there_were_three_listings() -> None:
    worker = Worker(**Stage().arguments())
    for expected in (set(), set(), {"old"}):
        await worker.tick()
        assert await gone(worker, "old") == expected


class RecordsLeftOut:
    """A store of which some records cannot be read."""

    def __init__(self, *left_out: str) -> None:
        self.left_out = set(left_out)

    async def list_by_status(self, status: str) -> list:  # type: ignore[type-arg]
        return [game("b")]


@pytest.mark.parametrize(
    ("left_out", "expected"), [(["c"], {"a"}), (["a"], set()), ([""], set()), (["c", ""], set()), ([], {"a"})]
)
async def test_a_game_whose_record_could_not_be_read_is_not_gone_and_none_is_if_it_could_be_any(
    left_out: list[str], expected: set[str]
) -> None:
    stage = Stage(b=HEALTHY)
    store = RecordsLeftOut(*left_out)
    worker = Worker(**stage.arguments(records=store))
    await ticks(worker, 3)
    assert await gone(worker, "a", "b") == expected
    store.left_out.clear()
    await ticks(worker, 3)
    assert await gone(worker, "a") == {"a"}


async def test_what_is_listed_between_two_ticks_ends_nothing() -> None:
    stage = Stage(a=HEALTHY)
    worker = Worker(**stage.arguments())
    await ticks(worker, 3)
    stage.records.remove("a")
    for _ in range(3):
        await worker._discovery.update()
    stage.records.put(game("a"))
    await ticks(worker, 1)
    assert await gone(worker, "a") == set()


async def test_the_games_of_all_shards_count_as_listed() -> None:
    stage = Stage(a=HEALTHY, b=HEALTHY, c=HEALTHY)
    worker = Worker(**stage.arguments(shards=ScriptedLeases([])))
    await ticks(worker, 3)
    assert worker.games == 0
    assert [record.game_id for record in worker.status.listing] == ["a", "b", "c"]
    assert await gone(worker, "a", "b", "c", "d") == {"d"}
