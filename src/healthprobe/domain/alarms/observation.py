"""Observation: whether anything is known of a game, and whose fault it is where nothing is."""

from __future__ import annotations

from dataclasses import dataclass

from healthprobe.domain.outcome import Failed, FailureKind, Inconclusive

LONG_INTERVALS = 10
"""A game without a conclusive outcome for so many of its intervals is reported as not observed."""


@dataclass(frozen=True, slots=True)
class Unobserved:
    """A game whose last probe told nothing, or that was not probed yet.

    `since` is when the first probe after the last conclusive outcome began, or when the game appeared, in monotonic
    seconds. `cause` is that of the last inconclusive outcome, and empty before the first; `no_route` is whether it was
    that the prober's machine has no way to the engine's address. `was_observed` says whether there ever was a
    conclusive outcome. `blamed` is the failure that the last outcome was taken for, as `is_the_engines_own` says.
    """

    since: float
    cause: str = ""
    no_route: bool = False
    was_observed: bool = True
    blamed: Failed | None = None

    def is_unknown(self, now: float, interval: float, failures: int) -> bool:
        """Returns whether nothing is known of the game: never, or not in the last `failures` intervals.

        As many inconclusive probes in a row make a game unknown as failures make it fail. What is taken for a failure
        is known.

        >>> Unobserved(100.0).is_unknown(109.0, interval=5.0, failures=3)
        False
        >>> Unobserved(100.0).is_unknown(110.0, interval=5.0, failures=3)
        True
        """
        if self.blamed is not None:
            return False
        return not self.was_observed or now - self.since >= (failures - 1) * interval

    def is_long(self, now: float, interval: float) -> bool:
        """Returns whether nothing was known of the game for LONG_INTERVALS."""
        return now - self.since >= LONG_INTERVALS * interval


def is_the_engines_own(without_route: int, observed: int) -> bool:
    """Returns whether it is these engines' addresses that cannot be reached, and not the prober that reaches nothing.

    That is so where at least as many games are observed as have no route. One address without a route is its record's
    fault, or its network's; where most have none, or all, it is the prober's.

    >>> is_the_engines_own(1, 6), is_the_engines_own(7, 0), is_the_engines_own(1, 0)
    (True, False, False)
    """
    return 0 < without_route <= observed


def taken_for_a_failure(inconclusive: Inconclusive) -> Failed:
    """Returns the failure of an engine that its own address keeps from being probed."""
    return Failed(0, inconclusive.cause, FailureKind.UNREACHABLE)
