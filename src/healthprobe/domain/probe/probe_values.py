"""Parsers for the values of probe settings. Each raises InvalidValue with what to write instead."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from healthprobe._util.duration import go_seconds
from healthprobe._util.text import printable, shorten
from healthprobe.domain.probe.json_path import InvalidJsonPath, parse_json_path
from healthprobe.domain.probe.probe_settings import JsonValue, ProbeKind, StatusRange

LONGEST_BODY_TEXT = 4096
"""The longest text to search in a body, in characters."""

_LONGEST_DURATION = 40
"""In characters. Matching a long row of digits takes time that grows with the square of its length."""

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_PATH = re.compile(r"/[\x21-\x7e]*")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]|[^\x00-\xff]")
_STATUS_RANGE = re.compile(r"([1-5][0-9]{2})-([1-5][0-9]{2})")
_RESERVED_HEADERS = {
    "host": 'use "host"',
    "connection": "--connections says it",
    "content-length": "a probe has no body",
    "transfer-encoding": "a probe has no body",
}


class InvalidValue(Exception):
    """A value that is not valid for its name."""


def kind(value: Any) -> ProbeKind:
    if value not in list(ProbeKind):
        raise InvalidValue(f"{quote(value)} is not one of {', '.join(ProbeKind)}")
    return ProbeKind(value)


def path(value: Any) -> str:
    if not isinstance(value, str) or not _PATH.fullmatch(value) or "#" in value:
        raise InvalidValue(f"{quote(value)} is not a path: begin it with /, and write spaces as %20")
    return value


def port(value: Any) -> int:
    if type(value) is not int or not 1 <= value <= 65535:
        raise InvalidValue(f"{quote(value)} is not a number from 1 to 65535")
    return value


def host(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[\x21-\x7e]{1,255}", value):
        raise InvalidValue(f"{quote(value)} is not a Host header: write a name, and a port if need be")
    return value


def method(value: Any) -> str:
    if value not in ("GET", "HEAD"):
        raise InvalidValue(f"{quote(value)} is neither GET nor HEAD")
    return str(value)


def headers(value: Any) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, Mapping):
        raise InvalidValue("they are not an object with names and values")
    headers = []
    for name, text in value.items():
        if not isinstance(name, str) or not _TOKEN.fullmatch(name):
            raise InvalidValue(f"{quote(name)} is not a name of a header")
        if (advice := _RESERVED_HEADERS.get(name.lower())) is not None:
            raise InvalidValue(f"{name} cannot be set: {advice}")
        if not isinstance(text, str) or _UNPRINTABLE.search(text):
            raise InvalidValue(f"the value of {name} is not text of one line in Latin-1")
        headers.append((name, text.strip()))
    return tuple(headers)


def statuses(value: Any) -> tuple[StatusRange, ...]:
    listed = value if isinstance(value, list) else [value]
    if not listed:
        raise InvalidValue("it is empty: write 200, or 200-299")
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
    raise InvalidValue(f"{quote(value)} is not a status: write 200, or 200-299, or a list of these")


def body_text(value: Any) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= LONGEST_BODY_TEXT:
        raise InvalidValue(f"write a text of 1 to {LONGEST_BODY_TEXT} characters")
    return _refuse_surrogates(value)


def json_path(value: Any) -> str:
    try:
        parse_json_path(value if isinstance(value, str) else "")
    except InvalidJsonPath as invalid:
        raise InvalidValue(f"{quote(value)} {invalid}") from None
    return str(value)


def scalar(value: Any) -> JsonValue:
    if not isinstance(value, str | int | float | bool):
        raise InvalidValue("write a text, a number, true or false")
    return value


def seconds(value: Any) -> float:
    is_short = isinstance(value, str) and len(value) <= _LONGEST_DURATION
    seconds = go_seconds(value) if is_short else None
    if seconds is None:
        raise InvalidValue(f"{quote(value)} is not a duration: write numbers with units, such as 500ms or 2s")
    if not (seconds >= 1e-3 and math.isfinite(seconds)):
        raise InvalidValue(f"{quote(value)} is shorter than 1ms: write a longer one, such as 500ms")
    return seconds


def integer_up_to(maximum: int) -> Callable[[Any], int]:
    def parse(value: Any) -> int:
        if type(value) is not int or not 1 <= value <= maximum:
            raise InvalidValue(f"{quote(value)} is not a whole number from 1 to {maximum}")
        return value

    return parse


def text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > LONGEST_BODY_TEXT:
        raise InvalidValue(f"write a text of at most {LONGEST_BODY_TEXT} characters")
    return _refuse_surrogates(value)


def _refuse_surrogates(value: str) -> str:
    """Refuses surrogates, which JSON can contain but which cannot be encoded."""
    if not value.isprintable() and re.search("[\ud800-\udfff]", value):
        raise InvalidValue(
            f"{quote(value)} contains half of a character (\\ud800 to \\udfff): write the whole character"
        )
    return value


def file(value: Any) -> str:
    """Parses the absolute path of a file on the prober's machine."""
    if "\0" in text(value) or not value.startswith("/"):
        raise InvalidValue(f"{quote(value)} is not an absolute path of a file: write one such as /etc/ssl/games.pem")
    return str(value)


def boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise InvalidValue(f"{quote(value)} is neither true nor false")
    return value


def quote(value: object) -> str:
    """Returns a value in one printable line."""
    try:
        text = value if isinstance(value, str) else json.dumps(value, default=str)
    except RecursionError:  # deeper than json.dumps can write
        text = "a deeply nested value"
    return shorten(printable(text, "?"), 60)
