"""Labels: what a platform says of a game besides its address, such as its team or its region.

Their names are Prometheus'. They say nothing about how a game is probed: they choose, group and route.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from healthprobe._util.text import printable, shorten

MOST_LABELS = 32
"""How many labels a game may have."""

LONGEST = 256
"""How many characters a label's name may have, and its value."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_INTERNAL = "__"
_LONGEST_QUOTE = 60

Selector = tuple[tuple[str, str], ...]
"""Names and values: a game is meant if its labels have all of them."""


class Labels(dict[str, str]):
    """Labels that were checked, in the order of their names. Games with equal labels share them: never change any.

    `fault` is what was wrong with labels that were dropped, or empty.
    """

    __slots__ = ("fault",)

    def __init__(self, items: Iterable[tuple[str, str]] = (), fault: str = "") -> None:
        super().__init__(items)
        self.fault = fault


NO_LABELS = Labels()
"""The labels of every game that has none."""


def no_labels() -> Labels:
    """Returns NO_LABELS: a dataclass takes no dict as a default."""
    return NO_LABELS


def parse_labels(value: object) -> Labels:
    """Returns the labels in `value`, a mapping or its JSON text, without those that may not be.

    A label without a value is as good as none. At most 32 are taken, the first by their names. Never raises: a wrong
    label hides no game.

    >>> parse_labels('{"team": "eu", "region": ""}')
    {'team': 'eu'}
    >>> parse_labels({"team": "eu", "tier": 1}).fault
    'label "tier": its value is not text: quote it'
    """
    if isinstance(value, Labels):
        return value
    if isinstance(value, str) and value.strip():
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return _shared((), 'labels: they are not JSON: write {"NAME": "VALUE"}')
    if value is None or (isinstance(value, str) and not value.strip()):
        return NO_LABELS
    if not isinstance(value, Mapping):
        return _shared((), "labels: they are not names with values")
    taken: list[tuple[str, str]] = []
    faults: list[str] = []
    for name, text in sorted(value.items(), key=lambda item: str(item[0])):
        if text is None or text == "":
            continue
        fault = _name_fault(name) or _value_fault(text)
        if not fault and len(taken) == MOST_LABELS:
            fault = f"a game has at most {MOST_LABELS}"
        if fault:
            faults.append(f'label "{_quoted(name)}": {fault}')
        else:
            taken.append((name, text))
    more = f" (and {len(faults) - 1:,} more)" if len(faults) > 1 else ""
    return _shared(tuple(taken), faults[0] + more if faults else "")


def labels_from_document(value: object) -> Labels:
    """Returns the labels that an event was written with; there are none where `value` is None.

    A later version may allow more: limits do not count here. Raises TypeError and ValueError for what are no labels.
    """
    if value is None:
        return NO_LABELS
    if not isinstance(value, Mapping):
        raise TypeError("labels must be an object")
    for name, text in value.items():
        if not isinstance(name, str) or not isinstance(text, str):
            raise TypeError("labels must be text")
        if _SURROGATE.search(name) or _SURROGATE.search(text):
            raise ValueError("labels must be UTF-8")
    return _shared(tuple(sorted(value.items())), "")


def fault_of(labels: Mapping[str, str]) -> str:
    """Returns what was wrong with labels that were dropped when these were checked, or an empty text."""
    return labels.fault if isinstance(labels, Labels) else ""


def parse_selector(texts: Iterable[str]) -> Selector:
    """Returns the labels that are asked for, each written NAME=VALUE. Raises ValueError.

    >>> parse_selector(["team=eu"])
    (('team', 'eu'),)
    """
    selector = []
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"{_quoted(text)!r} is no label: write NAME=VALUE, such as team=eu")
        if fault := _name_fault(name):
            raise ValueError(f"{_quoted(name)!r} is no name of a label: {fault}")
        selector.append((name, value))
    return tuple(selector)


def selects(selector: Selector, labels: Mapping[str, str]) -> bool:
    """Returns whether `labels` have all that is asked for. An empty value asks for games without that label.

    >>> selects((("team", "eu"),), {"team": "eu", "tier": "1"}), selects((("team", ""),), {"tier": "1"})
    (True, True)
    """
    return all(labels.get(name, "") == value for name, value in selector)


@lru_cache(maxsize=4096)
def _shared(items: tuple[tuple[str, str], ...], fault: str) -> Labels:
    """Returns the labels, the same object for equal ones: most games of a fleet have one of few sets."""
    return Labels(items, fault) if items or fault else NO_LABELS


def _name_fault(name: object) -> str:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        return "a name consists of letters, digits and _, and begins with no digit"
    if name.startswith(_INTERNAL):
        return f"names that begin with {_INTERNAL} are kept for internal use"
    return f"its name is longer than {LONGEST} characters" if len(name) > LONGEST else ""


def _value_fault(value: Any) -> str:
    if not isinstance(value, str):
        return "its value is not text: quote it"
    if len(value) > LONGEST:
        return f"its value is longer than {LONGEST} characters"
    if _UNPRINTABLE.search(value):
        return "its value has a line break or another control character"
    return "its value is not UTF-8" if _SURROGATE.search(value) else ""


def _quoted(name: object) -> str:
    return shorten(printable(str(name), "?"), _LONGEST_QUOTE)
