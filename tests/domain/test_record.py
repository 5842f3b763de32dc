"""The fields of a record: defaults, and values that other programs write."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthprobe.domain.record import (
    RUNNING,
    UNTIL_ENDED,
    InvalidRecord,
    RuntimeRecord,
    parse_silenced_until,
    probe_settings_text,
    record_from_document,
    silenced_until_or_none,
)

INSTANT = datetime(2026, 11, 25, 14, 0, tzinfo=UTC)


def test_the_default_status_is_running() -> None:
    assert RuntimeRecord("game-7", "c1", "http://engine:8080").status == RUNNING == "running"


@pytest.mark.parametrize(
    "value",
    [
        "2026-11-25T14:00:00Z",
        "2026-11-25 14:00:00",
        " 2026-11-25T15:00:00+01:00 ",
        datetime(2026, 11, 25, 14, 0),  # noqa: DTZ001  a database may give one without a zone
        datetime(2026, 11, 25, 16, 0, tzinfo=timezone(timedelta(hours=2))),
    ],
)
def test_an_instant_is_parsed_in_every_form(value: object) -> None:
    assert parse_silenced_until(value) == INSTANT


@pytest.mark.parametrize("value", [None, ""])
def test_an_empty_value_is_no_silence(value: object) -> None:
    assert parse_silenced_until(value) is None


@pytest.mark.parametrize("value", ["soon", "10m", 1764079200, True, [], b"2026-11-25", "0001-01-01T00:00:00+14:00"])
def test_an_invalid_instant_raises_or_is_no_silence(value: object) -> None:
    with pytest.raises(ValueError, match="write one such as 2026-11-25T14:00:00Z"):
        parse_silenced_until(value)
    assert silenced_until_or_none(value) is None


@given(st.one_of(st.text(), st.datetimes(timezones=st.just(UTC)), st.binary(), st.recursive(st.none(), st.lists)))
def test_any_value_is_an_instant_in_utc_or_none(value: object) -> None:
    until = silenced_until_or_none(value)
    assert until is None or until.utcoffset() == timedelta(0)
    assert isinstance(probe_settings_text(value), str)


def test_a_record_is_read_from_its_document() -> None:
    document: dict[str, object] = {
        "game_id": "game-7",
        "current_container_id": "c0ffee",
        "engine_endpoint": "http://game-7:8080",
        "status": "starting",
        "probe": {"path": "/ready"},
        "silenced_until": "2026-11-25T14:00:00Z",
        "silenced_why": "moving",
    }
    until = datetime(2026, 11, 25, 14, tzinfo=UTC)
    assert record_from_document(document) == RuntimeRecord(
        "game-7", "c0ffee", "http://game-7:8080", "starting", '{"path": "/ready"}', until, "moving"
    )


@pytest.mark.parametrize("document", [{}, {"game_id": None}, {"game_id": "game-7"}])
def test_a_document_without_an_id_gets_the_given_one(document: dict[str, object]) -> None:
    assert record_from_document({"engine_endpoint": "h", **document}, game_id="game-7").game_id == "game-7"


def test_settings_and_silences_that_cannot_be_read_leave_a_record_valid() -> None:
    document: dict[str, object] = {"game_id": "g", "engine_endpoint": "h", "probe": [1], "silenced_until": "soon"}
    assert record_from_document(document) == RuntimeRecord("g", "", "h", probe="[1]")


@pytest.mark.parametrize(
    ("altered", "path", "message"),
    [
        ({"game_id": None}, ("game_id",), "expected text, and this is nothing"),
        ({"game_id": ""}, ("game_id",), "it is empty"),
        ({"game_id": "a\0"}, ("game_id",), "it contains a NUL character"),
        ({"current_container_id": "\0"}, ("current_container_id",), "it contains a NUL character"),
        ({"current_container_id": []}, ("current_container_id",), "expected text, and this is a list"),
        ({"engine_endpoint": 7}, ("engine_endpoint",), "expected text, and this is a number; quote it"),
        ({"status": True}, ("status",), "expected text, and this is a truth value; quote it"),
        ({"silenced_why": {}}, ("silenced_why",), "expected text, and this is a mapping"),
        ({"stauts": "running"}, ("stauts",), "there is no such field; there are game_id, current_container_id"),
    ],
)
def test_an_invalid_document_is_refused_with_the_field(
    altered: dict[str, object], path: tuple[str, ...], message: str
) -> None:
    with pytest.raises(InvalidRecord) as refused:
        record_from_document({"game_id": "g", "engine_endpoint": "h", **altered})
    assert refused.value.path == path
    assert str(refused.value).startswith(message)


@pytest.mark.parametrize("name", ["game_id", "engine_endpoint"])
def test_a_document_without_a_required_field_is_refused(name: str) -> None:
    document: dict[str, object] = {"game_id": "g", "engine_endpoint": "h"}
    del document[name]
    with pytest.raises(InvalidRecord, match=f"the field {name} is missing"):
        record_from_document(document)


@pytest.mark.parametrize(
    ("text", "until"),
    [
        ("infinity", UNTIL_ENDED),
        (" Infinity ", UNTIL_ENDED),
        ("12026-11-25T14:00:00Z", UNTIL_ENDED),
        ("294276-12-31 23:59:59.999999+00", UNTIL_ENDED),
        ("9999-12-31T23:59:59-01:00", UNTIL_ENDED),
        ("9999-12-31T23:59:59Z", UNTIL_ENDED),
        ("9999-12-30T23:59:59Z", datetime(9999, 12, 30, 23, 59, 59, tzinfo=UTC)),
        ("-infinity", None),
        ("4713-01-01 00:00:00+00 BC", None),
    ],
)
def test_a_silence_may_have_no_end_and_no_beginning(text: str, until: datetime | None) -> None:
    assert parse_silenced_until(text) == until


@pytest.mark.parametrize("text", ["infinite", "inf", "10000-01", "-10000-01-01", "for ever", "--infinity"])
def test_a_silence_that_is_no_instant_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="it is not an instant"):
        parse_silenced_until(text)


def test_a_silence_without_end_can_be_shown_in_every_time_zone() -> None:
    for hours in (-12, 14):
        assert UNTIL_ENDED.astimezone(timezone(timedelta(hours=hours))) == UNTIL_ENDED
