"""Durations in Go's syntax (500ms, 5s, 1m30s), and rounded for people."""

from __future__ import annotations

import re
from datetime import timedelta

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_TERM = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")
_DURATION = re.compile(f"(?:{_TERM.pattern})+")
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]*)?|\.[0-9]+")
_SMALLEST = 1e-6
_LONGEST = timedelta.max.total_seconds()
_LONGEST_RETENTION = 36_525 * 86_400.0


class Duration(float):
    """A positive length of time in seconds. Its text is in Go's syntax.

    >>> [str(Duration(seconds)) for seconds in (0.15, 2.0, 90.5, 3_600.0)]
    ['150ms', '2s', '1m30.5s', '1h']
    """

    __slots__ = ()

    def __str__(self) -> str:
        microseconds = round(self * 1_000_000)
        if microseconds < 1_000_000:
            milliseconds, microseconds = divmod(microseconds, 1_000)
            terms = [(str(milliseconds), "ms"), (str(microseconds), "us")]
        else:
            minutes, microseconds = divmod(microseconds, 60_000_000)
            hours, minutes = divmod(minutes, 60)
            seconds = f"{microseconds / 1_000_000:.6f}".rstrip("0").rstrip(".")
            terms = [(str(hours), "h"), (str(minutes), "m"), (seconds, "s")]
        return "".join(count + unit for count, unit in terms if count != "0") or "0s"


def go_seconds(text: str) -> float | None:
    """Returns the seconds of a duration in Go's syntax, without a sign, or None for any other text.

    >>> go_seconds("1m30s"), go_seconds("5")
    (90.0, None)
    """
    if not _DURATION.fullmatch(text):
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in _TERM.findall(text))


def parse_duration(text: str | Duration) -> Duration:
    """Returns the duration. Raises ValueError with a message that says what to write instead.

    >>> float(parse_duration("1m30s"))
    90.0
    """
    if isinstance(text, Duration):
        return text
    if _NUMBER.fullmatch(text):
        raise ValueError(f"{text!r} has no unit: write {text}s for seconds, or use ms, m or h")
    if text.startswith("-"):
        raise ValueError(f"{text!r} is negative: write a duration above zero, such as 5s")
    seconds = go_seconds(text)
    if seconds is None:
        raise ValueError(f"{text!r} is not a duration: write numbers with units, such as 500ms, 5s or 1m30s")
    if seconds > _LONGEST:
        raise ValueError(f"{text!r} is too long: write a shorter duration, such as 5s")
    if seconds < _SMALLEST:
        raise ValueError(f"{text!r} is zero: write a duration above zero, such as 5s")
    return Duration(seconds)


def parse_retention(text: str | Duration) -> Duration | None:
    """Returns how long to keep something: a duration, a number of days, or None for `forever`. Raises ValueError.

    >>> str(parse_retention("90d"))
    '2160h'
    """
    if text == "forever":
        return None
    if isinstance(text, str) and (days := re.fullmatch(r"([0-9]{1,9})d", text)):
        retention = Duration(int(days[1]) * 86_400)
        if not retention:
            raise ValueError(f"{text!r} keeps nothing: write a number of days above zero, or forever")
    else:
        try:
            retention = parse_duration(text)
        except ValueError as error:
            raise ValueError(f"{error}; write days as 90d, and no limit as forever") from None
    if retention > _LONGEST_RETENTION:
        raise ValueError(f"{text!r} is longer than a hundred years: write forever")
    return retention


def two_units(seconds: float, decimals: int = 0) -> str:
    """Returns a duration for people, in two units at most. `decimals` are those of durations under a minute.

    >>> [two_units(seconds) for seconds in (0.4, 59.6, 252.0, 7_260.0, 100_000.0)]
    ['0s', '1m00s', '4m12s', '2h01m', '1d03h']
    >>> two_units(0.4, decimals=1)
    '0.4s'
    """
    if round(seconds, decimals) < 60:
        return f"{seconds:.{decimals}f}s"
    minutes, second = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}m{second:02}s"
    hours, minute = divmod(minutes, 60)
    if hours < 24:
        return f"{hours}h{minute:02}m"
    days, hour = divmod(hours, 24)
    return f"{days}d{hour:02}h"


def milliseconds(seconds: float | None) -> float | None:
    """Returns the seconds in milliseconds with two decimals, for a document; None stays None."""
    return None if seconds is None else round(seconds * 1000, 2)
