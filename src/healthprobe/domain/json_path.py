"""The JSON path: a place in a JSON body, as `a.b[0].c`."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

Step = str | int

_MOST_STEPS = 32
_STEP = re.compile(r"(?:^|\.)([^.\[\]\s]+)|\[([0-9]{1,6})\]")


class InvalidJsonPath(ValueError):
    """What was written is no path. The message says how one is written."""


class NothingThere(LookupError):
    """The document has nothing at that place."""


@lru_cache(maxsize=1024)
def steps_of(path: str) -> tuple[Step, ...]:
    """The names and numbers of `path`. Raises InvalidJsonPath.

    >>> steps_of("checks[0].state")
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
            "is no path into a JSON body: write names with dots, and numbers in brackets, as a.b[0].c"
        )
    return tuple(steps)


def value_at(document: Any, path: str) -> Any:
    """What stands there. Raises NothingThere.

    >>> value_at({"checks": [{"state": "up"}]}, "checks[0].state")
    'up'
    """
    value = document
    for step in steps_of(path):
        if isinstance(step, int):
            if not isinstance(value, list) or step >= len(value):
                raise NothingThere(path)
            value = value[step]
        else:
            if not isinstance(value, dict) or step not in value:
                raise NothingThere(path)
            value = value[step]
    return value
