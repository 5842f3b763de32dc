"""Silences: which games they mean, when they end, and what they look like in a log."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthprobe.domain.alarms.silence import (
    Matcher,
    Silence,
    silence_from_text,
    silence_of,
    silence_of_record,
)
from healthprobe.domain.record import UNTIL_ENDED, RuntimeRecord

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
FIELDS = ("games", "host", "labels", "who", "why", "created_at", "ends_at")
EU = {"team": "eu", "region": "west"}


def silence(matcher: Matcher, *, seconds: float = 60.0, silence_id: str = "3f9a1c02") -> Silence:
    ends_at = NOW + timedelta(seconds=seconds)
    return Silence(id=silence_id, matcher=matcher, who="anna", why="new rack", created_at=NOW, ends_at=ends_at)


@pytest.mark.parametrize(
    ("matcher", "is_meant"),
    [
        (Matcher(games=("chess-1",)), True),
        (Matcher(games=("chess-2", "chess-1")), True),
        (Matcher(games=("chess",)), False),
        (Matcher(host="10.0.0.7"), True),
        (Matcher(host="10.0.0.70"), False),
        (Matcher(labels={"team": "eu"}), True),
        (Matcher(labels={"team": "eu", "region": "east"}), False),
        (Matcher(labels={"rack": ""}), True),
        (Matcher(labels={"rack": "r1"}), False),
        (Matcher(games=("chess-1",), host="10.0.0.7", labels=EU), True),
        (Matcher(games=("chess-1",), host="10.0.0.8"), False),
    ],
)
def test_a_game_is_meant_if_it_meets_every_condition(matcher: Matcher, is_meant: bool) -> None:  # noqa: FBT001
    assert matcher.matches("chess-1", "10.0.0.7", EU) is is_meant


def test_a_silence_of_every_game_is_refused() -> None:
    with pytest.raises(ValueError, match="it matches every game"):
        Matcher()


def test_a_silence_ends_by_itself() -> None:
    one = silence(Matcher(games=("a",)))
    assert silence_of([one], NOW, "a", "", {}) is one
    assert silence_of([one], one.ends_at - timedelta(microseconds=1), "a", "", {}) is one
    assert silence_of([one], one.ends_at, "a", "", {}) is None
    assert silence_of([one], NOW, "b", "", {}) is None


def test_of_several_silences_the_one_that_ends_last_counts() -> None:
    short, long = silence(Matcher(games=("a",))), silence(Matcher(host="h"), seconds=3600.0)
    assert silence_of([short, long], NOW, "a", "h", {}) is long
    assert silence_of([long, short], NOW, "a", "h", {}) is long
    assert silence_of([long, short], NOW, "a", "elsewhere", {}) is short


def test_a_record_may_ask_for_a_silence_of_its_own_game() -> None:
    record = RuntimeRecord("a", "c", "http://h:1", silenced_until=NOW, silenced_why="new map")
    own = silence_of_record(record)
    assert own is not None
    assert (own.id, own.why, own.ends_at, own.matcher.games) == ("", "new map", NOW, ("a",))
    assert silence_of_record(replace(record, silenced_until=None)) is None


@given(
    games=st.lists(st.text(min_size=1), min_size=1, max_size=3),
    host=st.text(),
    labels=st.dictionaries(st.text(), st.text(), max_size=3),
    note=st.text(),
)
def test_a_silence_is_read_back_as_it_was_written(
    games: list[str], host: str, labels: dict[str, str], note: str
) -> None:
    one = replace(silence(Matcher(games=tuple(games), host=host, labels=labels)), who=note, why=note)
    assert silence_from_text(one.id, json.dumps(one.as_document())) == one


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "Expecting value"),
        ("[1]", "it is a list"),
        ("[" * 100_000, "nested too deep"),
        ('{"ends_at": "2026-11-29T12:00:00Z"}', "it matches every game"),
        ('{"games": "a", "ends_at": "2026-11-29T12:00:00Z"}', "its games are no list of texts"),
        ('{"games": [1], "ends_at": "2026-11-29T12:00:00Z"}', "its games are no list of texts"),
        ('{"labels": {"team": 1}, "ends_at": "2026-11-29T12:00:00Z"}', "its labels are no mapping of texts"),
        ('{"host": 7, "ends_at": "2026-11-29T12:00:00Z"}', "its host, who or why is no text"),
        ('{"games": ["a"]}', "it has no end"),
        ('{"games": ["a"], "ends_at": "soon"}', "it is not an instant"),
    ],
)
def test_a_silence_that_another_program_altered_is_refused_with_the_fault(text: str, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        silence_from_text("x", text)


def test_a_silence_may_last_for_ever() -> None:
    endless = replace(silence(Matcher(games=("a",))), ends_at=UNTIL_ENDED)
    assert silence_from_text(endless.id, json.dumps(endless.as_document())) == endless


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just("2026-11-29T12:00:00Z"),
        lambda inner: (
            st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(FIELDS) | st.text(), inner, max_size=7)
        ),
        max_leaves=12,
    )
)
def test_any_document_is_a_silence_or_refused(document: object) -> None:
    try:
        known = silence_from_text("x", json.dumps(document))
    except ValueError:
        return
    assert silence_from_text("x", json.dumps(known.as_document())) == known
