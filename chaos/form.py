"""The form of a run: how many engines, how fast, and how much of each fault."""

from __future__ import annotations

from dataclasses import dataclass

THRESHOLD = 2
"""Consecutive failures that make an event."""


@dataclass(frozen=True, slots=True)
class Form:
    """Times are in seconds. `games` fail and recover, a `share` of them at a time. `faltering` engines fail every
    fourth probe.

    `strokes` is how often a fault is injected, after at most `rest` seconds each time. A program that is killed at
    random lives for at most `life` seconds. A bus that goes down stays down for `transitions` events and for `away`
    seconds at least. `patience` is how long to wait for a condition; only a hang exceeds it.
    """

    games: int
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
        """The same as options of `healthprobe run`."""
        return ["--interval", f"{self.interval:g}s", "--timeout", f"{self.timeout:g}s", "--failures", str(THRESHOLD)]


SHORT = Form(
    games=52,
    faltering=8,
    interval=0.3,
    timeout=0.2,
    strokes=1,
    rest=0.3,
    life=1.0,
    transitions=30,
    away=1.0,
    patience=60.0,
)
LONG = Form(
    games=460,
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
