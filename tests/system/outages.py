"""Outages: a pattern of faults that the engines follow and the oracle computes the log from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from healthprobe.domain.event import EventType, HealthEvent
from healthprobe.testing.engines import OK, Behaviour, Script

FAULTS: tuple[Behaviour, ...] = ("crash", "hang", 503)

OUTAGE = 5.0
"""How long an outage lasts, in seconds. To be told it must meet a life of the program that does two ticks, and so it is
longer than what can come before such a one: the end of a life, another that is cut short (at most 1.5 s), and a start
(0.8 s on an idle machine), even where a busy machine makes that take three times as long."""

CYCLE = 9.0
"""From one outage of a game to its next, in seconds; the healthy spell need only meet a life that does one tick."""

_FIRST = 1.5
_STAGGER = 3.5
_HICCUP_AFTER = 2.0
_HICCUP = 0.06

_LATE = 0.5
"""How much later than the engine's own change its transition may be, in seconds: a timeout, and a busy machine."""


@dataclass(frozen=True, slots=True)
class Outage:
    """One fault of one game, in seconds since the fleet began."""

    fault: Behaviour
    begins: float
    ends: float


@dataclass(frozen=True, slots=True)
class ExpectedEvent:
    """What the log must hold: the type, when it may have been seen, and the status of its last failure."""

    event_type: EventType
    earliest: float
    latest: float
    last_status: int

    def is_told_by(self, event: HealthEvent, began: float) -> bool:
        """Whether `event` is this one, for a fleet that `began` at this wall time in seconds."""
        elapsed = event.occurred_at.timestamp() - began
        last_status = event.details.as_document().get("last_status", 0)
        return (event.event_type, last_status) == (self.event_type, self.last_status) and (
            self.earliest <= elapsed <= self.latest
        )


def outages_of(number: int, games: int, cycles: int) -> list[Outage]:
    """The outages of game `number` out of so many: spread over time, and each kind of fault in turn."""
    first = _FIRST + _STAGGER * number / games
    return [
        Outage(FAULTS[(number + cycle) % len(FAULTS)], first + cycle * CYCLE, first + cycle * CYCLE + OUTAGE)
        for cycle in range(cycles)
    ]


def script_of(outages: list[Outage]) -> Script:
    """Healthy but for the outages, and for a hiccup after each that is too short to meet two probes of one life."""
    steps: list[tuple[float, Behaviour]] = [(0.0, OK)]
    for outage in outages:
        hiccup = outage.ends + _HICCUP_AFTER
        steps += [(outage.begins, outage.fault), (outage.ends, OK), (hiccup, 503), (hiccup + _HICCUP, OK)]
    return Script(tuple(steps))


def expected_of(outages: list[Outage]) -> Iterator[ExpectedEvent]:
    """The oracle: what the log must hold of a game with these outages, no more and no less."""
    for number, outage in enumerate(outages):
        following = outages[number + 1].begins if number + 1 < len(outages) else float("inf")
        status = outage.fault if isinstance(outage.fault, int) else 0
        yield ExpectedEvent(EventType.PROBE_FAILED, outage.begins, outage.ends + _LATE, status)
        yield ExpectedEvent(EventType.PROBE_RECOVERED, outage.ends, following, 0)
