"""The target_set: each game once, whatever a store lists, in the order in which its probe is due."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from healthprobe.domain.policy import Thresholds
from healthprobe.domain.record import RuntimeRecord
from healthprobe.domain.schedule import lanes_needed, spread_window
from healthprobe.domain.shard import shard_of
from healthprobe.testing.stage import game
from healthprobe.worker.target_set import TargetSet, TargetSetChange

TIMEOUT = 2.0
EMPTY = TargetSet(spread_window(5.0, TIMEOUT), TIMEOUT, Thresholds(3))

Records = list[RuntimeRecord]
records = st.lists(st.builds(game, st.sampled_from("abcde"), st.sampled_from(["c1", "c2"])), max_size=12)


some_shards = st.none() | st.frozensets(st.sampled_from([shard_of(game_id) for game_id in "abcde"]))


def updated(
    target_set: TargetSet, listing: Records, shards: frozenset[int] | None = None
) -> tuple[TargetSet, TargetSetChange]:
    return asyncio.run(target_set.updated(listing, shards))


def test_of_a_game_that_is_listed_thrice_the_first_record_counts_and_the_id_is_named_once() -> None:
    target_set, change = updated(EMPTY, [game("a", "c1"), game("b"), game("a", "c2"), game("a", "c3")])
    assert target_set.by_id["a"].record.current_container_id == "c1"
    assert change.repeated == {"a"}


def test_an_id_that_stays_repeated_is_named_no_second_time() -> None:
    target_set, _ = updated(EMPTY, [game("a", "c1"), game("a", "c2")])
    _, change = updated(target_set, [game("a", "c1"), game("a", "c2")])
    assert not any((change.appeared, change.left, change.retired, change.repeated))


@given(records)
def test_every_id_is_watched_once_and_repeated_ids_are_exactly_those_listed_twice(listing: Records) -> None:
    target_set, change = updated(EMPTY, listing)
    ids = [record.game_id for record in listing]
    assert sorted(each.game_id for each in target_set.games) == sorted(set(ids))
    assert change.repeated == {game_id for game_id in ids if ids.count(game_id) > 1}
    assert all(each.record is listing[ids.index(each.game_id)] for each in target_set.games)


@given(records, records)
def test_a_change_is_the_difference_of_two_lists_and_what_stays_is_not_made_anew(
    before: Records, after: Records
) -> None:
    old, _ = updated(EMPTY, before)
    new, change = updated(old, [replace(record) for record in after])
    assert sorted(change.appeared) == sorted(set(new.by_id) - set(old.by_id))
    assert sorted(change.left) == sorted(set(old.by_id) - set(new.by_id))
    kept = {game_id for game_id in set(old.by_id) & set(new.by_id) if old.by_id[game_id] is new.by_id[game_id]}
    assert kept == {
        name for name in new.by_id if name in old.by_id and old.by_id[name].record == new.by_id[name].record
    }
    assert len(change.retired) == len(old.by_id) - len(kept)


@given(records)
def test_games_come_in_the_order_of_their_phases_and_lanes_are_sized_for_all_of_them(listing: Records) -> None:
    target_set, _ = updated(EMPTY, listing)
    assert list(target_set.phases) == sorted(each.phase for each in target_set.by_id.values())
    assert [each.phase for each in target_set.games] == list(target_set.phases)
    assert target_set.most_in_flight == lanes_needed(target_set.phases, TIMEOUT)


@given(st.tuples(records, records), st.lists(st.tuples(st.integers(0, 1), some_shards), max_size=8))
def test_however_lists_and_shards_have_changed_the_roster_is_as_if_it_had_never_been_another(
    listings: tuple[Records, Records], steps: list[tuple[int, frozenset[int] | None]]
) -> None:
    target_set = EMPTY
    for number, shards in steps:
        before = target_set
        target_set, change = updated(before, listings[number], shards)
        afresh, _ = updated(EMPTY, listings[number], shards)
        assert {game_id: each.record for game_id, each in target_set.by_id.items()} == {
            game_id: each.record for game_id, each in afresh.by_id.items()
        }
        assert sorted(each.game_id for each in target_set.games) == sorted(afresh.by_id)
        assert list(target_set.phases) == list(afresh.phases)
        assert target_set.repeated == afresh.repeated
        assert set(change.appeared) == set(target_set.by_id) - set(before.by_id)
        assert set(change.left) == set(before.by_id) - set(target_set.by_id)


@given(records, some_shards, some_shards)
def test_games_whose_shard_stays_are_not_made_anew_because_others_move(
    listing: Records, before: frozenset[int] | None, after: frozenset[int] | None
) -> None:
    old, _ = updated(EMPTY, listing, before)
    new, _ = updated(old, listing, after)
    assert all(new.by_id[game_id] is each for game_id, each in old.by_id.items() if game_id in new.by_id)
