"""When a game is gone: what the listings say, and the notes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthprobe.domain.alarms.gone import LISTINGS, GoneIncident, gone_games, gone_incidents

GAMES = st.sampled_from("abc")
LISTED = st.lists(st.frozensets(GAMES), max_size=6)


@given(GAMES, LISTED)
def test_a_game_is_gone_if_the_last_three_complete_listings_exist_and_have_it_not(
    game: str, listings: list[frozenset[str]]
) -> None:
    is_gone = len(listings) >= 3 and all(game not in listing for listing in listings[-3:])
    assert (game in gone_games([game], listings)) == is_gone


@given(LISTED)
def test_only_games_that_were_asked_about_are_gone(listings: list[frozenset[str]]) -> None:
    assert gone_games("ab", listings) <= {"a", "b"}
    assert gone_games("", listings) == frozenset()


@given(LISTED, st.frozensets(GAMES))
def test_a_listing_ends_nothing_that_it_has(listings: list[frozenset[str]], last: frozenset[str]) -> None:
    assert not gone_games("abc", [*listings, last]) & last


def test_three_listings_make_a_game_gone() -> None:
    assert LISTINGS == 3


@given(st.text(max_size=1200), st.integers(1, 2**40), st.datetimes(timezones=st.just(UTC)))
def test_a_note_is_read_back_and_its_key_is_short_enough_for_every_log(
    game_id: str, sequence: int, gone_at: datetime
) -> None:
    note = GoneIncident(game_id, sequence, gone_at)
    assert gone_incidents({note.key: note.as_document()}) == {(game_id, sequence): note}
    assert len(note.key) <= 1000


@pytest.mark.parametrize(
    "altered",
    ["", "{", "[]", "7", "null", "{}", "[" * 100_000, '{"game_id": "a", "sequence": 1, "gone_at": "yesterday"}'],
)
def test_a_note_that_another_program_altered_hides_no_other(altered: str) -> None:
    note = GoneIncident("a", 1, datetime(2026, 11, 23, tzinfo=UTC))
    assert list(gone_incidents({"x": altered, note.key: note.as_document()})) == [("a", 1)]
