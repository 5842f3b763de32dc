"""Durations are written as Go writes them, and whoever writes them otherwise is told how."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthprobe.surfaces.durations import Duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("5s", 5.0),
        ("1m30s", 90.0),
        ("1.5h", 5400.0),
        (".5s", 0.5),
        ("250us", 0.00025),
        ("1h1m1s", 3661.0),
    ],
)
def test_go_durations_are_read_in_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("5", "write 5s for seconds"),
        ("0.5", "write 0.5s for seconds"),
        ("0", "has no unit"),
        ("0s", "is zero"),
        ("0h0m0s", "is zero"),
        ("1ns", "is zero"),
        ("-5s", "is negative"),
        ("", "is not a duration"),
        ("soon", "is not a duration"),
        ("5 s", "is not a duration"),
        ("5d", "is not a duration"),
        ("1mm", "is not a duration"),
        ("1s and 2s", "is not a duration"),
        ("1.2.3s", "is not a duration"),
        ("9999999999999h", "is longer than any clock can tell"),
    ],
)
def test_anything_else_is_refused_with_what_to_write(text: str, advice: str) -> None:
    with pytest.raises(ValueError, match=advice):
        parse_duration(text)


@given(st.integers(min_value=1, max_value=10**9))
def test_a_duration_reads_back_from_its_own_text(milliseconds: int) -> None:
    duration = Duration(milliseconds / 1000)
    assert parse_duration(str(duration)) == pytest.approx(float(duration), rel=1e-5)
