"""The rules of a run as people write them: counts, shares, and so many in a time."""

from __future__ import annotations

import re

from healthprobe.domain.policy import FlapRule
from healthprobe.surfaces.durations import parse_duration

_SHARE = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,3})?)%")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
_FEWEST_TO_FLAP = 3


def parse_count(text: str | int) -> int:
    """A number of times. Raises ValueError."""
    if isinstance(text, str) and not (text.isascii() and text.isdecimal()):
        raise ValueError(f"{text!r} is not a whole number: write one such as 2")
    if int(text) < 1:
        raise ValueError(f"{text!r} is below 1: write how many in a row, such as 2")
    return int(text)


def parse_share(text: str | float) -> float:
    """A share of a fleet, as `50%`. Raises ValueError.

    >>> parse_share("50%")
    0.5
    """
    if isinstance(text, float):
        return text
    share = _SHARE.fullmatch(text)
    if share is None or not 0 < float(share[1]) < 100:
        raise ValueError(f"{text!r} is no share of a fleet: write one above 0% and below 100%, such as 50%")
    return float(share[1]) / 100


def parse_header_name(text: str) -> str:
    """The name of a header. Raises ValueError."""
    if not _HEADER_NAME.fullmatch(text):
        raise ValueError(f"{text!r} is no name of a header: write one such as X-Game-ID")
    return text


def parse_flap(text: str | FlapRule) -> FlapRule:
    """So many transitions in a time, as `6/1h`. Raises ValueError.

    >>> parse_flap("6/1h")
    FlapRule(transitions=6, within=3600.0)
    """
    if isinstance(text, FlapRule):
        return text
    transitions, slash, within = text.partition("/")
    if not slash or not (transitions.isascii() and transitions.isdecimal()):
        raise ValueError(f"{text!r} is no rule for flapping: write so many transitions in a time, such as 6/1h")
    if int(transitions) < _FEWEST_TO_FLAP:
        raise ValueError(f"{text!r}: two transitions are one incident; write {_FEWEST_TO_FLAP} or more, such as 6/1h")
    return FlapRule(int(transitions), float(parse_duration(within)))
