"""The condition: how a game stands, as people see it."""

from __future__ import annotations

from enum import StrEnum

from healthprobe.domain.hysteresis import GameState


class Condition(StrEnum):
    """In the order in which they deserve attention."""

    DOWN = "down"
    """In an incident: its last event is a `probe_failed`, or is about to be."""

    FAILING = "failing"
    """It failed lately, less often in a row than makes an incident."""

    UNKNOWN = "unknown"
    """It was not asked yet."""

    HEALTHY = "healthy"


def condition_of(state: GameState | None, *, asked: bool) -> Condition:
    """How a game stands that has this state, and was `asked` since it appeared, or was not.

    >>> condition_of(None, asked=True)
    <Condition.HEALTHY: 'healthy'>
    >>> condition_of(None, asked=False)
    <Condition.UNKNOWN: 'unknown'>
    """
    if state is not None:
        if state.in_incident:
            return Condition.DOWN
        if state.consecutive_failures:
            return Condition.FAILING
    return Condition.HEALTHY if asked else Condition.UNKNOWN
