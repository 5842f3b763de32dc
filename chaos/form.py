"""The form of a run: how many engines, at which pace, and how much of each fault."""

from __future__ import annotations

from dataclasses import dataclass

THRESHOLD = 2
"""Failures in a row that are an event."""


@dataclass(frozen=True, slots=True)
class Form:
    """Times are seconds. `actors` fail and recover, a `share` of them in an act; `faltering` engines answer badly once
    in a while.

    `strokes` is how often a fault strikes in its row, after a `rest` at the most; a `life` is the longest of a program
    that is killed at random. A bus that is away stays so for `transitions` events, and for `away` seconds at least.
    `patience` is how long to wait for what must come: so long that only a hang runs into it.
    """

    actors: int
    faltering: int
    interval: float
    timeout: float
    strokes: int
    rest: float
    life: float
    transitions: int
    away: float
    patience: float
    share: float = 0.6

    @property
    def options(self) -> list[str]:
        """The pace, as `healthprobe run` is told it."""
        return ["--interval", f"{self.interval:g}s", "--timeout", f"{self.timeout:g}s", "--failures", str(THRESHOLD)]


SHORT = Form(
    actors=52,
    faltering=8,
    interval=0.3,
    timeout=0.2,
    strokes=1,
    rest=0.3,
    life=1.0,
    transitions=30,
    away=1.0,
    patience=30.0,
)
LONG = Form(
    actors=460,
    faltering=40,
    interval=0.3,
    timeout=0.2,
    strokes=12,
    rest=1.0,
    life=2.5,
    transitions=1000,
    away=18.0,
    patience=90.0,
)
"""Half an hour at the default interval of 5 s is 360 ticks; five minutes are 60, or 18 s of these."""
