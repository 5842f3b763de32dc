"""Durations as Go writes them: 500ms, 5s, 1m30s."""

from __future__ import annotations

import re
from datetime import timedelta

import durationpy

_GO_SYNTAX = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]*)?|\.[0-9]+")
_SMALLEST = 1e-6
_LONGEST_RETENTION = 36_525 * 86_400.0


class Duration(float):
    """A positive length of time in seconds; its text is Go's.

    >>> str(Duration(90.5))
    '1m30.5s'
    """

    __slots__ = ()

    def __str__(self) -> str:
        return durationpy.to_str(timedelta(seconds=self))


def parse_duration(text: str | Duration) -> Duration:
    """The duration that `text` names. Raises ValueError with a message that says what to write instead.

    >>> float(parse_duration("1m30s"))
    90.0
    """
    if isinstance(text, Duration):
        return text
    if _NUMBER.fullmatch(text):
        raise ValueError(f"{text!r} has no unit: write {text}s for seconds, or use ms, m or h")
    if text.startswith("-"):
        raise ValueError(f"{text!r} is negative: write a duration above zero, such as 5s")
    # The library passes over what stands between two terms and knows units that Go does not (d, mm, y).
    if not re.fullmatch(f"(?:{_GO_SYNTAX.pattern})+", text):
        raise ValueError(f"{text!r} is not a duration: write numbers with units, such as 500ms, 5s or 1m30s")
    try:
        seconds = durationpy.from_str(text).total_seconds()
    except durationpy.DurationError:
        raise ValueError(f"{text!r} is longer than any clock can tell: write a shorter one, such as 5s") from None
    if seconds < _SMALLEST:
        raise ValueError(f"{text!r} is zero: write a duration above zero, such as 5s")
    return Duration(seconds)


def parse_retention(text: str | Duration) -> Duration | None:
    """How long to keep something: a duration, a number of days, or None for `forever`. Raises ValueError.

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
            raise ValueError(f"{error}; days are written as in 90d, no end as forever") from None
    if retention > _LONGEST_RETENTION:
        raise ValueError(f"{text!r} is longer than a hundred years: write forever")
    return retention
