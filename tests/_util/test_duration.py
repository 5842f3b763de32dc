"""Durations are read in Go's syntax, and any other text is refused with what to write instead."""

from __future__ import annotations

import pytest
from fuzz.watch import armed, watchdog
from hypothesis import given
from hypothesis import strategies as st

from healthprobe._util.duration import Duration, parse_duration, parse_retention, two_units


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
        ("9999999999999h", "is too long"),
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
def test_a_retention_is_a_duration_a_number_of_days_or_forever(text: str, seconds: float | None) -> None:
    assert parse_retention(text) == seconds


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("0d", "keeps nothing: write a number of days above zero, or forever"),
        ("0000d", "keeps nothing"),
        ("0s", "is zero"),
        ("90", "has no unit: .*; write days as 90d, and no limit as forever"),
        ("-1d", "is negative"),
        ("1.5d", "is not a duration: .*; write days as 90d"),
        ("1d12h", "is not a duration"),
        ("36526d", "is longer than a hundred years: write forever"),
        ("876601h", "is longer than a hundred years"),
        ("9999999999d", "is not a duration"),
        ("", "is not a duration"),
        ("never", "no limit as forever"),
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


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (0.000001, "1us"),
        (0.0015, "1ms500us"),
        (0.15, "150ms"),
        (2.5, "2.5s"),
        (90.5, "1m30.5s"),
        (7_776_000.0, "2160h"),
    ],
)
def test_the_text_of_a_duration_is_in_go_s_syntax(duration: float, text: str) -> None:
    assert str(Duration(duration)) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0s"),
        (59.94, "59.9s"),
        (59.96, "1m00s"),
        (60, "1m00s"),
        (3599, "59m59s"),
        (3725, "1h02m"),
        (86400 * 400 + 7200, "400d02h"),
    ],
)
def test_a_duration_for_people_has_two_units(seconds: float, text: str) -> None:
    assert two_units(seconds, decimals=1) == text


@given(seconds=st.floats(0, 1e8))
def test_a_duration_for_people_is_short(seconds: float) -> None:
    assert 2 <= len(two_units(seconds)) <= 8
