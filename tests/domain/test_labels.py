"""Labels: what is taken, what is dropped and why, and the selection of games by them."""

from __future__ import annotations

import copy
import json
import pickle
from dataclasses import asdict, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthprobe.domain.event import HealthEvent
from healthprobe.domain.labels import LONGEST, MOST_LABELS, NO_LABELS, fault_of, parse_labels, parse_selector, selects
from healthprobe.domain.record import RuntimeRecord, record_from_document
from healthprobe.testing.contracts.samples import failed


@pytest.mark.parametrize("value", [None, "", "  ", {}, "{}", "null", {"team": ""}, {"team": None}])
def test_a_game_without_labels_shares_the_same_none_with_all_others(value: object) -> None:
    assert parse_labels(value) is NO_LABELS


def test_equal_labels_are_one_object_whatever_their_order_and_form() -> None:
    one = parse_labels({"team": "eu", "tier": "1"})
    other = parse_labels('{"tier": "1", "team": "eu"}')
    assert one is other
    assert list(one) == ["team", "tier"]


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("team", "eu\nus", "has a line break"),
        ("team", "eu\x00", "another control character"),
        ("team", "\x9b31m", "another control character"),
        ("team", "\u2028", "has a line break"),
        ("team", "\ud800", "is not UTF-8"),
        ("team", "x" * (LONGEST + 1), "longer than 256 characters"),
        ("team", 1, "is not text: quote it"),
        ("team", ["eu"], "is not text: quote it"),
        ("te-am", "eu", "letters, digits and _"),
        ("7team", "eu", "begins with no digit"),
        ("tëam", "eu", "letters, digits and _"),
        ("team\n", "eu", "letters, digits and _"),
        ("", "eu", "letters, digits and _"),
        (7, "eu", "letters, digits and _"),
        ("__team", "eu", "kept for internal use"),
        ("t" * (LONGEST + 1), "eu", "longer than 256 characters"),
    ],
)
def test_a_label_that_may_not_be_is_named_and_dropped_and_the_others_stay(
    name: object, value: object, why: str
) -> None:
    labels = parse_labels({name: value, "region": "1"})
    assert labels == {"region": "1"}
    assert why in labels.fault
    assert labels.fault.isprintable()


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("team=eu", "not JSON"),
        ("[", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "not names"),
        (b"x", "not names"),
        (7, "not names"),
        ("7", "not names"),
        (True, "not names"),
    ],
)
def test_what_is_no_mapping_is_no_labels(value: object, why: str) -> None:
    labels = parse_labels(value)
    assert labels == NO_LABELS
    assert why in labels.fault


def test_of_ten_thousand_labels_the_first_32_by_name_are_taken_and_the_rest_is_counted() -> None:
    labels = parse_labels({f"n{number:05}": "x" for number in reversed(range(10_000))})
    assert list(labels) == [f"n{number:05}" for number in range(MOST_LABELS)]
    assert labels.fault == 'label "n00032": a game has at most 32 (and 9,967 more)'


@given(st.recursive(st.none() | st.text() | st.integers() | st.binary(), lambda each: st.dictionaries(st.text(), each)))
def test_whatever_labels_are_they_hide_no_game_and_any_log_can_hold_them(value: object) -> None:
    record = RuntimeRecord("game-7", "c1", "http://h:1", labels=value)  # type: ignore[arg-type]
    assert len(record.labels) <= MOST_LABELS
    assert copy.deepcopy(record) == record == pickle.loads(pickle.dumps(record))
    assert RuntimeRecord(**asdict(record)) == record
    assert json.loads(json.dumps(dict(record.labels)).encode()) == record.labels
    assert replace(record, status="stopped").labels is record.labels


def test_a_record_of_a_document_has_its_labels_and_says_what_was_dropped() -> None:
    document: dict[str, object] = {
        "game_id": "game-7",
        "engine_endpoint": "http://h:1",
        "labels": {"team": "eu", "tier": 1},
    }
    record = record_from_document(document)
    assert record.labels == {"team": "eu"}
    assert fault_of(record.labels) == 'label "tier": its value is not text: quote it'


def test_an_event_with_labels_is_read_as_it_was_written_and_one_without_has_no_such_field() -> None:
    event = replace(failed("game-7", 1), labels={"team": "eu"})
    assert event.as_document()["labels"] == {"team": "eu"}
    assert HealthEvent.from_document(event.as_document()) == event
    assert hash(event)
    assert "labels" not in failed("game-7", 1).as_document()
    assert HealthEvent.from_document({**failed("game-7", 1).as_document(), "labels": None}).labels is NO_LABELS


@pytest.mark.parametrize("labels", [["team"], "team=eu", {"team": 7}, {"team": "\ud800"}, {7: "eu"}])
def test_an_event_whose_labels_were_altered_cannot_be_read(labels: object) -> None:
    with pytest.raises(ValueError, match="labels must be"):
        HealthEvent.from_document({**failed("game-7", 1).as_document(), "labels": labels})


def test_a_selector_means_games_that_have_all_of_its_labels() -> None:
    selector = parse_selector(["team=eu", "tier=a=b"])
    assert selects(selector, {"team": "eu", "tier": "a=b", "region": "1"})
    assert not selects(selector, {"team": "eu"})
    assert not selects(selector, NO_LABELS)
    assert selects((), NO_LABELS)


def test_an_empty_value_selects_games_without_the_label() -> None:
    assert selects(parse_selector(["team="]), {"tier": "1"})
    assert not selects(parse_selector(["team="]), {"team": "eu"})


@pytest.mark.parametrize("text", ["team", "=eu", "te-am=eu", "", "__x=1"])
def test_what_is_no_selector_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="label"):
        parse_selector([text])
