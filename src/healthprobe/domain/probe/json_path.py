"""JSON paths such as `a.b[0].c`, which name a value in a JSON body."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

Step = str | int

_MOST_STEPS = 32
_STEP = re.compile(r"(?:^|\.)([^.\[\]\s]+)|\[([0-9]{1,6})\]")


class InvalidJsonPath(ValueError):
    """A text that is not a path. The message says how to write one."""


class ValueNotFound(LookupError):
    """The document has no value at this path."""


@lru_cache(maxsize=1024)
def parse_json_path(path: str) -> tuple[Step, ...]:
    """Returns the names and indexes in `path`. Raises InvalidJsonPath.

    >>> parse_json_path("checks[0].state")
    ('checks', 0, 'state')
    """
    steps: list[Step] = []
    end = 0
    for found in _STEP.finditer(path):
        if found.start() != end:
            break
        end = found.end()
        steps.append(found[1] if found[1] is not None else int(found[2]))
    if end != len(path) or not steps or len(steps) > _MOST_STEPS:
        raise InvalidJsonPath(
            "is not a path into a JSON body: write names with dots and indexes in brackets, such as a.b[0].c"
        )
    return tuple(steps)


def value_at(document: Any, path: str) -> Any:
    """Returns the value of `document` at `path`. Raises ValueNotFound.

    >>> value_at({"checks": [{"state": "up"}]}, "checks[0].state")
    'up'
    """
    value = document
    for step in parse_json_path(path):
        if isinstance(step, int):
            if not isinstance(value, list) or step >= len(value):
                raise ValueNotFound(path)
            value = value[step]
        else:
            if not isinstance(value, dict) or step not in value:
                raise ValueNotFound(path)
            value = value[step]
    return value
