"""Values of any type that a database, a decoder or another program may put in the place of a text."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from random import Random
from typing import Any

from fuzz.mutation import Mutator, as_text

_FIXED: tuple[Any, ...] = (
    None,
    "",
    "\0",
    "game-7\0",
    "\ud800",
    b"",
    b"\xff\0",
    0,
    -1,
    True,
    False,
    2**63 - 1,
    2**64,
    10**25,
    0.0,
    float("inf"),
    float("-inf"),
    float("nan"),
    datetime.min.replace(tzinfo=timezone(timedelta(hours=14))),
    datetime.max.replace(tzinfo=timezone(-timedelta(hours=12))),
    datetime.min,  # noqa: DTZ901  a database without zones has it
    datetime(2026, 11, 25, 13, tzinfo=UTC),
    date(2026, 11, 25),
    Decimal("1.5"),
    Decimal("NaN"),
    (),
    [],
    {},
)
_LARGE = 100_000
_LARGE_SHARE = 0.002
_DEEPEST = 3


class Values:
    """Draws values, among them the texts of `mutator`."""

    def __init__(self, random: Random, mutator: Mutator) -> None:
        self._random = random
        self._mutator = mutator

    def draw(self, depth: int = 0) -> Any:
        """Returns any value; half of them are texts."""
        random = self._random
        chance = random.random()
        if chance < _LARGE_SHARE:
            return random.choice(("x", "\0", "9", " "))[:1] * _LARGE
        if chance < 0.5:
            return as_text(self._mutator.draw())
        if chance < 0.8 or depth >= _DEEPEST:
            return random.choice(_FIXED)
        ways: tuple[Callable[[], Any], ...] = (
            self._mutator.draw,
            lambda: random.randint(-(2**70), 2**70),
            lambda: random.uniform(-1e12, 1e12),
            lambda: [self.draw(depth + 1) for _ in range(random.randint(0, 3))],
            lambda: {self._key(): self.draw(depth + 1) for _ in range(random.randint(0, 3))},
        )
        return random.choice(ways)()

    def draw_cell(self) -> Any:
        """Returns a value that a cell of SQLite may hold: a text, a number, bytes or NULL."""
        value = self.draw(_DEEPEST)
        return value if isinstance(value, str | int | float | bytes | None) else bytes(str(value), "utf-8", "replace")

    def mostly(self, *usual: Any) -> Any:
        """Returns one of the usual values seven times of ten, so that code behind a first check is reached."""
        return self._random.choice(usual) if self._random.random() < 0.7 else self.draw()

    def _key(self) -> Any:
        return self._random.choice(("a", "path", "", 1, None, "\ud800", (1,), b"x"))
