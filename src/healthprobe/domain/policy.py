"""The policy: by what rules the outcomes of a whole run become transitions. Its defaults are the reference's rules."""

from __future__ import annotations

from dataclasses import dataclass

STEADY_SHARE = 0.25
"""The part of its time for which a flapping game must be steady."""


@dataclass(frozen=True, slots=True)
class FlapRule:
    """So many `transitions` `within` so many seconds are flapping.

    >>> FlapRule(6, 3600.0).steady
    900.0
    """

    transitions: int
    within: float

    @property
    def steady(self) -> float:
        """For how many seconds a flapping game must answer without a failure until its incident ends."""
        return self.within * STEADY_SHARE

    def is_reached(self, earlier: int) -> bool:
        """Whether one more would be one too many, after so many `earlier` ones within the time."""
        return earlier + 1 >= self.transitions


@dataclass(frozen=True, slots=True)
class Thresholds:
    """How many failures in a row make a `probe_failed`, and how many successes in a row a `probe_recovered`."""

    failures: int
    successes: int = 1


@dataclass(frozen=True, slots=True)
class Policy:
    """What is asked of outcomes besides the number of failures. Durations are in seconds.

    `successes` in a row end an incident. `confirm` is the spacing at which an engine that was up and failed is asked
    again at once; None leaves that to the next ticks. For `grace` after a game has appeared its failures do not count.
    `flap` keeps a game that goes up and down in one incident. `hold` is the share of healthy engines that must fail
    within an interval for their `probe_failed` to be held for another; None holds nothing.
    """

    successes: int = 1
    confirm: float | None = None
    grace: float = 0.0
    flap: FlapRule | None = None
    hold: float | None = None


REFERENCE = Policy()
"""The reference's rules: nothing is confirmed, excused, damped or held."""
