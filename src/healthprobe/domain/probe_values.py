"""The values of probe settings: each checked by itself, and refused with what to write instead."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from healthprobe._util.duration import go_seconds
from healthprobe._util.text import printable, shorten
from healthprobe.domain.json_path import InvalidJsonPath, steps_of
from healthprobe.domain.probe_settings import JsonValue, ProbeKind, StatusRange

LONGEST_BODY_TEXT = 4096
"""The longest text that is looked for in a body, in characters."""

_LONGEST_DURATION = 40
"""In characters: what it takes to find that a row of digits is no duration grows with the square of its length."""

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_PATH = re.compile(r"/[\x21-\x7e]*")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]|[^\x00-\xff]")
_STATUS_RANGE = re.compile(r"([1-5][0-9]{2})-([1-5][0-9]{2})")
_OURS = {
    "host": 'use "host"',
    "connection": "--connections says it",
    "content-length": "a probe has no body",
    "transfer-encoding": "a probe has no body",
}


class Misfit(Exception):
    """A value that does not fit its name."""


def kind(value: Any) -> ProbeKind:
    if value not in list(ProbeKind):
        raise Misfit(f"{shown(value)} is none of {', '.join(ProbeKind)}")
    return ProbeKind(value)


def path(value: Any) -> str:
    if not isinstance(value, str) or not _PATH.fullmatch(value) or "#" in value:
        raise Misfit(f"{shown(value)} is no path: begin it with /, and write spaces as %20")
    return value


def port(value: Any) -> int:
    if type(value) is not int or not 1 <= value <= 65535:
        raise Misfit(f"{shown(value)} is no number from 1 to 65535")
    return value


def host(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[\x21-\x7e]{1,255}", value):
        raise Misfit(f"{shown(value)} is no Host header: write a name, and a port if need be")
    return value


def method(value: Any) -> str:
    if value not in ("GET", "HEAD"):
        raise Misfit(f"{shown(value)} is neither GET nor HEAD")
    return str(value)


def headers(value: Any) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, Mapping):
        raise Misfit("they are no mapping of names to values")
    headers = []
    for name, text in value.items():
        if not isinstance(name, str) or not _TOKEN.fullmatch(name):
            raise Misfit(f"{shown(name)} is no name of a header")
        if (advice := _OURS.get(name.lower())) is not None:
            raise Misfit(f"{name} is not for you to send: {advice}")
        if not isinstance(text, str) or _UNPRINTABLE.search(text):
            raise Misfit(f"the value of {name} is not text of one line in Latin-1")
        headers.append((name, text.strip()))
    return tuple(headers)


def statuses(value: Any) -> tuple[StatusRange, ...]:
    listed = value if isinstance(value, list) else [value]
    if not listed:
        raise Misfit("it is empty: write 200, or 200-299")
    return tuple(_status_range(each) for each in listed)


def _status_range(value: Any) -> StatusRange:
    if type(value) is int and 100 <= value <= 599:
        return value, value
    if isinstance(value, str):
        if re.fullmatch(r"[1-5][0-9]{2}", value):
            return int(value), int(value)
        found = _STATUS_RANGE.fullmatch(value)
        if found is not None and int(found[1]) <= int(found[2]):
            return int(found[1]), int(found[2])
    raise Misfit(f"{shown(value)} is no status: write 200, or 200-299, or a list of these")


def body_text(value: Any) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= LONGEST_BODY_TEXT:
        raise Misfit(f"write a text of 1 to {LONGEST_BODY_TEXT} characters")
    return _whole(value)


def json_path(value: Any) -> str:
    try:
        steps_of(value if isinstance(value, str) else "")
    except InvalidJsonPath as invalid:
        raise Misfit(f"{shown(value)} {invalid}") from None
    return str(value)


def scalar(value: Any) -> JsonValue:
    if not isinstance(value, str | int | float | bool):
        raise Misfit("write a text, a number, true or false")
    return value


def seconds(value: Any) -> float:
    is_short = isinstance(value, str) and len(value) <= _LONGEST_DURATION
    seconds = go_seconds(value) if is_short else None
    if seconds is None:
        raise Misfit(f"{shown(value)} is no duration: write numbers with units, such as 500ms or 2s")
    if not (seconds >= 1e-3 and math.isfinite(seconds)):
        raise Misfit(f"{shown(value)} is shorter than 1ms: write a longer one, such as 500ms")
    return seconds


def up_to(most: int) -> Callable[[Any], int]:
    def parse(value: Any) -> int:
        if type(value) is not int or not 1 <= value <= most:
            raise Misfit(f"{shown(value)} is no whole number from 1 to {most}")
        return value

    return parse


def text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > LONGEST_BODY_TEXT:
        raise Misfit(f"write a text of at most {LONGEST_BODY_TEXT} characters")
    return _whole(value)


def _whole(value: str) -> str:
    """Half of a character, which JSON can write, cannot be sent or be looked for."""
    if not value.isprintable() and re.search("[\ud800-\udfff]", value):
        raise Misfit(f"{shown(value)} holds half of a character (\\ud800 to \\udfff): write the whole of it")
    return value


def file(value: Any) -> str:
    """A path of a file on the prober's machine."""
    if "\0" in text(value) or not value.startswith("/"):
        raise Misfit(f"{shown(value)} is no path of a file: write the whole of it, as in /etc/ssl/games.pem")
    return str(value)


def truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise Misfit(f"{shown(value)} is neither true nor false")
    return value


def shown(value: object) -> str:
    """What was written, as it may stand in a line."""
    try:
        text = value if isinstance(value, str) else json.dumps(value, default=str)
    except RecursionError:  # what could just be read may be too deep to be written
        text = "what is nested so deeply"
    return shorten(printable(text, "?"), 60)
