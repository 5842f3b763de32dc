"""Where keys stand in a TOML text: tomllib does not say."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any


def line_of(text: str, path: tuple[str | int, ...]) -> int:
    """Returns the line on which the key at `path` stands, or else the nearest table around it. `text` is valid TOML."""
    lines: dict[tuple[str | int, ...], int] = {}
    for place, line in _keys_in(text):
        lines.setdefault(place, line)
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 1)


def _keys_in(text: str) -> Iterator[tuple[tuple[str | int, ...], int]]:
    """Yields each key with its line. A statement ends with the first line after which it is valid TOML by itself."""
    table: tuple[str | int, ...] = ()
    counts: Counter[tuple[str | int, ...]] = Counter()
    statement, first = "", 1
    for number, line in enumerate(text.split("\n"), start=1):
        statement = f"{statement}\n{line}" if statement else line
        if statement != line and line.rstrip().endswith(","):
            continue
        try:
            found = tomllib.loads(statement)
        except (ValueError, RecursionError):
            continue
        if statement.lstrip().startswith("["):
            table = ()
            inner: Any = found
            while isinstance(inner, dict) and inner:
                [(name, inner)] = inner.items()
                table = (*table, name)
                if isinstance(inner, list):
                    table, inner = (*table, counts[table]), inner[0]
                    counts[table[:-1]] += 1
                elif counts[table] and inner:
                    table = (*table, counts[table] - 1)
            yield table, first
        else:
            for place in _places(found):
                yield (*table, *place), first
        statement, first = "", number + 1


def _places(document: Mapping[str, Any]) -> Iterator[tuple[str | int, ...]]:
    for name, value in document.items():
        yield (name,)
        if isinstance(value, dict):
            for place in _places(value):
                yield (name, *place)
