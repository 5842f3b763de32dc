"""When in a tick a game is probed, how many lanes that takes, and which tick comes next."""

from __future__ import annotations

import heapq
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthprobe.domain.schedule import (
    AT_ONCE,
    DEADLINE_SLACK,
    AutoLanes,
    Window,
    lanes_needed,
    next_tick,
    phase_fraction,
    spread_window,
)

intervals = st.floats(0.01, 3600)
timeouts = st.floats(0.005, 3600)
phases = st.lists(st.floats(0, 10), max_size=60).map(sorted)


class TestAGamesFraction:
    def test_is_the_same_in_every_process(self) -> None:
        assert [round(phase_fraction(game_id), 6) for game_id in ("game-7", "", "æøå")] == [
            0.702594,
            0.866604,
            0.647032,
        ]

    @given(st.text())
    def test_lies_between_0_and_1_for_any_id_even_with_surrogates(self, game_id: str) -> None:
        assert 0 <= phase_fraction(game_id) < 1
        assert 0 <= phase_fraction(game_id + "\ud800") < 1

    @pytest.mark.parametrize("name", ["game-{}", "{:08}", "eu-west/{}/arena"])
    def test_is_evenly_distributed_over_ten_thousand_ids(self, name: str) -> None:
        bins, ids = 100, 10_000
        counts = Counter(int(phase_fraction(name.format(number)) * bins) for number in range(ids))
        expected = ids / bins
        chi_square = sum((counts[each] - expected) ** 2 / expected for each in range(bins))
        assert chi_square < 148.2  # 99 degrees of freedom: exceeded by one fair spread in a thousand

    def test_does_not_follow_the_order_of_ids(self) -> None:
        in_order = sum(phase_fraction(f"game-{n}") < phase_fraction(f"game-{n + 1}") for n in range(1000))
        assert 400 < in_order < 600


class TestTheWindow:
    def test_of_the_default_interval_and_timeout(self) -> None:
        assert spread_window(interval=5.0, timeout=2.0) == Window(0.1, 2.9)

    def test_of_a_second_and_half_a_second(self) -> None:
        assert spread_window(interval=1.0, timeout=0.5) == Window(0.025, 0.475)

    @pytest.mark.parametrize("timeout", [1.0, 1.5, 100.0])
    def test_is_empty_if_the_timeout_is_not_shorter_than_the_interval(self, timeout: float) -> None:
        assert spread_window(1.0, timeout) == AT_ONCE
        assert AT_ONCE.phase(0.7) == 0.0

    def test_has_the_middle_game_in_the_middle(self) -> None:
        assert Window(0.1, 2.9).phase(0.5) == 1.5

    @given(intervals, timeouts, st.floats(0, 1, exclude_max=True))
    def test_holds_every_phase_within_0_and_interval_minus_timeout(
        self, interval: float, timeout: float, fraction: float
    ) -> None:
        phase = spread_window(interval, timeout).phase(fraction)
        assert 0 <= phase <= max(interval - timeout, 0)

    @given(intervals, timeouts)
    def test_uses_at_least_nine_tenths_of_the_room(self, interval: float, timeout: float) -> None:
        window = spread_window(interval, timeout)
        assert window.end - window.start >= 0.9 * max(interval - timeout, 0) * (1 - 1e-9)

    @given(st.floats(0.5, 3600), timeouts)
    def test_ends_early_enough_that_a_last_probe_that_times_out_costs_no_tick(
        self, interval: float, timeout: float
    ) -> None:
        window = spread_window(interval, timeout)
        if window is not AT_ONCE:
            assert next_tick(0, window.end + timeout + DEADLINE_SLACK, interval) == (1, 0)

    @given(st.sets(st.text(min_size=1), min_size=1), st.sets(st.text(min_size=1)))
    def test_moves_no_games_phase_when_others_appear(self, before: set[str], appearing: set[str]) -> None:
        window = spread_window(5.0, 2.0)
        then = {game_id: window.phase(phase_fraction(game_id)) for game_id in before}
        now = {game_id: window.phase(phase_fraction(game_id)) for game_id in before | appearing}
        assert then.items() <= now.items()


class TestTheLanesATickNeeds:
    def test_three_of_four_start_within_one_timeout(self) -> None:
        assert lanes_needed([0.0, 0.1, 0.2, 3.0], timeout=2.0) == 3

    def test_games_further_apart_than_the_timeout_share_one(self) -> None:
        assert lanes_needed([0.0, 3.0, 6.0], timeout=2.0) == 1

    def test_a_game_that_starts_as_another_ends_takes_over_its_lane(self) -> None:
        assert lanes_needed([0.0, 2.0 + DEADLINE_SLACK], timeout=2.0) == 1

    def test_no_games_need_none(self) -> None:
        assert lanes_needed([], timeout=2.0) == 0

    def test_games_at_once_need_one_each(self) -> None:
        assert lanes_needed([0.0] * 40, timeout=0.1) == 40

    @given(phases, st.floats(0.01, 5))
    def test_agree_with_a_brute_force_count(self, phases: list[float], timeout: float) -> None:
        held = timeout + DEADLINE_SLACK
        together = (sum(first <= other < first + held for other in phases) for first in phases)
        assert lanes_needed(phases, timeout) == max(together, default=0)

    @given(phases, st.floats(0.01, 5))
    def test_are_just_enough_to_start_every_probe_at_its_phase_if_all_engines_hang(
        self, phases: list[float], timeout: float
    ) -> None:
        needed = lanes_needed(phases, timeout)
        assert latest_start(phases, timeout + DEADLINE_SLACK, lanes=max(needed, 1)) == 0
        if needed > 1:
            assert latest_start(phases, timeout + DEADLINE_SLACK, lanes=needed - 1) > 0

    def test_are_limited_by_the_ceiling(self) -> None:
        assert AutoLanes().limit(4000) == 4000
        assert AutoLanes(ceiling=192).limit(4000) == 192
        assert AutoLanes(ceiling=192).limit(5) == 5


def latest_start(phases: list[float], held: float, lanes: int) -> float:
    """Returns how late the latest probe starts if every probe holds its lane for `held` seconds."""
    free_at = [0.0] * lanes
    late = 0.0
    for phase in phases:
        start = max(phase, heapq.heappop(free_at))
        heapq.heappush(free_at, start + held)
        late = max(late, start - phase)
    return late


class TestTheNextTick:
    @pytest.mark.parametrize(
        ("elapsed", "following", "dropped"),
        [
            (0.0, 1, 0),
            (2.0, 1, 0),
            (5.0, 1, 0),
            (5.2, 1, 0),
            (5.6, 2, 1),
            (10.0, 2, 1),
            (11.0, 3, 2),
            (5000.0, 1000, 999),
        ],
    )
    def test_after_the_first_of_five_seconds(self, elapsed: float, following: int, dropped: int) -> None:
        assert next_tick(0, elapsed, interval=5.0) == (following, dropped)

    def test_keeps_to_the_grid_of_the_first_tick(self) -> None:
        assert next_tick(7, elapsed=38.0, interval=5.0) == (8, 0)
        assert next_tick(7, elapsed=46.0, interval=5.0) == (10, 2)

    @given(st.integers(0, 10**6), intervals, st.floats(0, 1e6))
    def test_is_later_than_the_last_and_at_most_a_tenth_of_an_interval_late(
        self, number: int, interval: float, took: float
    ) -> None:
        elapsed = number * interval + took
        following, _ = next_tick(number, elapsed, interval)
        assert following > number
        assert elapsed <= (following + 0.1) * interval

    @given(st.integers(0, 10**6), intervals, st.floats(0, 1e6))
    def test_is_the_first_that_can_begin_and_those_before_it_are_dropped(
        self, number: int, interval: float, took: float
    ) -> None:
        elapsed = number * interval + took
        following, dropped = next_tick(number, elapsed, interval)
        assert number + 1 + dropped == following
        if dropped:
            assert elapsed > (following - 1 + 0.1) * interval * (1 - 1e-9)
