"""The notes of when a run watched."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthprobe.domain.shard import SHARDS, Slice, shard_of
from healthprobe.domain.watch import (
    MOST_SPANS,
    NOTHING,
    WatchedTime,
    readable_times,
    together,
    watched_spans,
    watched_time,
)

parts = st.sampled_from(["", "1/2", "2/2"])
tenths = st.integers(0, 10**11).map(lambda number: number / 10)
times = st.dictionaries(parts, st.lists(st.tuples(tenths, tenths), max_size=5)).map(
    lambda spans: together(WatchedTime({part: tuple(own)}) for part, own in spans.items())
)


@given(times)
def test_a_note_is_read_back(time: WatchedTime) -> None:
    again = watched_time(time.as_document())
    assert {part: own for part, own in again.by_part.items() if own} == {
        part: own for part, own in time.by_part.items() if own
    }


@given(times, times)
def test_two_notes_together_are_the_same_in_either_order_and_twice(one: WatchedTime, other: WatchedTime) -> None:
    assert together([one, other]) == together([other, one, other])


@pytest.mark.parametrize(
    "altered",
    ["", "{", "[]", "7", "null", '{"": 1}', '{"": [[1]]}', '{"": [[1, NaN]]}', '{"": [["a", 2]]}', "[" * 100_000],
)
def test_a_note_that_another_program_altered_hides_no_other(altered: str) -> None:
    note = WatchedTime({"": ((1.0, 2.0),)})
    assert readable_times({"x": altered, "y": note.as_document()}) == {"y": note}


def test_the_newest_spans_are_kept_and_fit_a_document() -> None:
    many = [(1e9 + 100.0 * number, 1e9 + 100.0 * number + 50) for number in range(3 * MOST_SPANS)]
    kept = together([WatchedTime({"": tuple(many), "1/2": tuple(many)})])
    assert kept.by_part[""] == tuple(many[-MOST_SPANS // 2 :])
    assert kept.last == many[-1][1]
    assert len(kept.as_document()) < 100_000


def test_a_game_was_watched_by_runs_for_all_games_and_by_those_with_its_part() -> None:
    shard = shard_of("game-7", SHARDS)
    own = next(f"{number}/2" for number in (1, 2) if shard in Slice(number, 2).shards)
    other = {"1/2": "2/2", "2/2": "1/2"}[own]
    time = WatchedTime({"": ((0.0, 1.0),), own: ((2.0, 3.0),), other: ((4.0, 5.0),), "nonsense": ((6.0, 7.0),)})
    assert watched_spans(time, "game-7") == [(0.0, 1.0), (2.0, 3.0)]
    assert watched_spans(NOTHING, "game-7") == []
