"""The shard of a game, and the shares of several instances."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthprobe.domain.schedule import phase_fraction
from healthprobe.domain.shard import MOST_SHARDS, SHARDS, Slice, fair_share, shard_of

fleets = st.integers(1, 300)
totals = st.integers(0, 1000)


def shares(instances: int, shards: int = SHARDS) -> list[int]:
    return [fair_share(position, instances, shards) for position in range(instances)]


class TestAGamesShard:
    def test_is_the_same_in_every_process_and_version(self) -> None:
        assert [shard_of(game_id) for game_id in ("game-7", "", "æøå", "игра 7", "🎮")] == [224, 0, 193, 38, 79]
        assert SHARDS == 256

    @given(st.text())
    def test_is_valid_for_any_id_even_with_surrogates(self, game_id: str) -> None:
        assert 0 <= shard_of(game_id) < SHARDS
        assert 0 <= shard_of(game_id + "\ud800") < SHARDS

    @given(st.text(), st.integers(1, MOST_SHARDS))
    def test_is_less_than_the_number_of_shards(self, game_id: str, shards: int) -> None:
        assert 0 <= shard_of(game_id, shards) < shards

    @pytest.mark.parametrize(
        ("shards", "fair"),  # exceeded by one fair spread in a thousand, with 255, 99 and 999 degrees of freedom
        [(SHARDS, 330.5), (100, 148.2), (1000, 1142.7)],
    )
    @pytest.mark.parametrize("name", ["game-{}", "{:08}", "eu-west/{}/arena"])
    def test_is_evenly_distributed_over_fifty_thousand_ids(self, name: str, shards: int, fair: float) -> None:
        ids = 50_000
        counts = Counter(shard_of(name.format(number), shards) for number in range(ids))
        expected = ids / shards
        assert sum((counts[shard] - expected) ** 2 / expected for shard in range(shards)) < fair

    def test_is_independent_of_the_phase_of_the_game(self) -> None:
        fractions = [phase_fraction(game_id) for game_id in map(str, range(50_000)) if shard_of(game_id) == 7]
        counts = Counter(int(fraction * 10) for fraction in fractions)
        expected = len(fractions) / 10
        chi_square = sum((counts[tenth] - expected) ** 2 / expected for tenth in range(10))
        assert chi_square < 27.9  # 9 degrees of freedom: exceeded by one fair spread in a thousand


class TestASlice:
    @given(st.integers(1, SHARDS))
    def test_parts_are_disjoint_and_cover_all_shards(self, count: int) -> None:
        parts = [Slice(number, count).shards for number in range(1, count + 1)]
        assert sum(map(len, parts)) == SHARDS
        assert frozenset().union(*parts) == frozenset(range(SHARDS))

    @given(st.integers(1, SHARDS))
    def test_parts_differ_in_size_by_one_at_most(self, count: int) -> None:
        sizes = [len(Slice(number, count).shards) for number in range(1, count + 1)]
        assert max(sizes) - min(sizes) <= 1
        assert min(sizes) >= 1

    @pytest.mark.parametrize(("number", "count"), [(0, 5), (6, 5), (-1, 5), (1, 0), (1, SHARDS + 1), (0, 0)])
    def test_an_invalid_part_is_refused(self, number: int, count: int) -> None:
        with pytest.raises(ValueError, match=rf"{number}/{count} is no part of a fleet: write one such as 2/5, in at"):
            Slice(number, count)


class TestAFairShare:
    @given(fleets, totals)
    def test_shares_add_up_to_all_shards(self, instances: int, shards: int) -> None:
        assert sum(shares(instances, shards)) == shards

    @given(fleets, totals)
    def test_shares_differ_by_one_at_most_and_the_first_are_larger(self, instances: int, shards: int) -> None:
        given = shares(instances, shards)
        assert max(given) - min(given) <= 1
        assert given == sorted(given, reverse=True)

    @given(fleets, totals)
    def test_is_no_larger_after_another_instance_joined(self, instances: int, shards: int) -> None:
        before, after = shares(instances, shards), shares(instances + 1, shards)
        assert all(now <= then for then, now in zip(before, after, strict=False))

    @given(fleets, totals)
    def test_only_the_share_of_a_new_instance_moves(self, instances: int, shards: int) -> None:
        before, after = shares(instances, shards), shares(instances + 1, shards)
        assert sum(then - now for then, now in zip(before, after, strict=False)) == after[-1]

    @given(st.data(), st.integers(2, 300), totals)
    def test_is_no_smaller_after_another_instance_left(self, data: st.DataObject, instances: int, shards: int) -> None:
        leaver = data.draw(st.integers(0, instances - 1))
        before, after = shares(instances, shards), shares(instances - 1, shards)
        del before[leaver]
        assert all(now >= then for then, now in zip(before, after, strict=True))
