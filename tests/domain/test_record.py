"""The fields of a record: defaults, and values that other programs write."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthprobe.domain.record import (
    RUNNING,
    RuntimeRecord,
    parse_silenced_until,
    probe_settings_text,
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
