"""Durations are written as Go writes them, and whoever writes them otherwise is told how."""

from __future__ import annotations

import pytest
from fuzz.watch import armed, watchdog
from hypothesis import given
from hypothesis import strategies as st

from healthprobe._util.duration import Duration, parse_duration, parse_retention


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


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90d", 7_776_000.0), ("1d", 86_400.0), ("36h", 129_600.0), ("1m30s", 90.0), ("forever", None)],
)
def test_a_retention_may_be_told_in_days_too_or_be_for_ever(text: str, seconds: float | None) -> None:
    assert parse_retention(text) == seconds


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("0d", "keeps nothing: write a number of days above zero, or forever"),
        ("0000d", "keeps nothing"),
        ("0s", "is zero"),
        ("90", "has no unit: .*; days are written as in 90d, no end as forever"),
        ("-1d", "is negative"),
        ("1.5d", "is not a duration: .*; days are written as in 90d"),
        ("1d12h", "is not a duration"),
        ("36526d", "is longer than a hundred years: write forever"),
        ("876601h", "is longer than a hundred years"),
        ("9999999999d", "is not a duration"),
        ("", "is not a duration"),
        ("never", "no end as forever"),
    ],
)
def test_any_other_retention_is_refused_with_what_to_write(text: str, advice: str) -> None:
    with pytest.raises(ValueError, match=advice):
        parse_retention(text)


@given(st.integers(min_value=1, max_value=36_525))
def test_a_retention_reads_back_from_its_own_text(days: int) -> None:
    retention = parse_retention(f"{days}d")
    assert retention is not None
    assert float(retention) == days * 86_400
    assert parse_retention(str(retention)) == retention


@pytest.mark.parametrize("text", ["9" * 70_000, "9" * 70_000 + "x", "1." + "9" * 70_000, "1s" * 30_000 + "x"])
def test_a_duration_of_any_length_is_refused_at_once(text: str) -> None:
    with watchdog(), armed(1.0), pytest.raises(ValueError, match=r"no unit|not a duration"):
        parse_duration(text)
