from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from healthprobe.domain.record import RUNNING, RuntimeRecord, distinct_games


def record(game_id: str, container: str = "c1") -> RuntimeRecord:
    return RuntimeRecord(game_id, container, "http://engine:8080")


def test_a_record_is_running_unless_it_says_otherwise() -> None:
    assert record("game-7").status == RUNNING == "running"


def test_games_that_are_listed_once_are_all_there_in_their_order() -> None:
    games, repeated = distinct_games([record("b"), record("a"), record("c")])
    assert list(games) == ["b", "a", "c"]
    assert repeated == frozenset()


def test_of_a_game_that_is_listed_thrice_the_first_record_counts_and_the_id_is_named_once() -> None:
    games, repeated = distinct_games([record("a", "c1"), record("b"), record("a", "c2"), record("a", "c3")])
    assert games["a"].current_container_id == "c1"
    assert repeated == {"a"}


def test_nothing_listed_is_no_game() -> None:
    assert distinct_games([]) == ({}, frozenset())


@given(st.lists(st.builds(record, st.sampled_from("abcde"), st.sampled_from(["c1", "c2"]))))
def test_every_id_is_kept_exactly_once_and_repeated_ids_are_exactly_those_listed_twice(
    records: list[RuntimeRecord],
) -> None:
    games, repeated = distinct_games(records)
    ids = [each.game_id for each in records]
    assert set(games) == set(ids)
    assert repeated == {game_id for game_id in ids if ids.count(game_id) > 1}
    assert all(games[game_id] is records[ids.index(game_id)] for game_id in games)
