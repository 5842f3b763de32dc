"""The policy of a run: the rules by which outcomes become transitions. The defaults are the reference's rules."""

from __future__ import annotations

from dataclasses import dataclass

STEADY_SHARE = 0.25
"""The part of `FlapRule.within` for which a flapping game must stay healthy."""


@dataclass(frozen=True, slots=True)
class FlapRule:
    """A game that has `transitions` within `within` seconds is flapping.

    >>> FlapRule(6, 3600.0).steady
    900.0
    """

    transitions: int
    within: float

    @property
    def steady(self) -> float:
        """The seconds for which a flapping game must stay healthy until its incident ends."""
        return self.within * STEADY_SHARE

    def is_reached(self, earlier: int) -> bool:
        """Returns whether one more transition after `earlier` ones makes the game flapping."""
        return earlier + 1 >= self.transitions


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The failures in a row that make a `probe_failed`, and the successes in a row that make a `probe_recovered`."""

    failures: int
    successes: int = 1


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules besides the number of failures. Durations are in seconds.

    `successes` in a row end an incident. `confirm` is the spacing of extra probes after a first failure; with None the
    next ticks confirm it. For `grace` after a game appears its failures do not count. `flap` keeps a flapping game in
    one incident. `hold` is the share of healthy engines that must fail within an interval for their `probe_failed` to
    be held for another interval; None holds nothing.
    """

    successes: int = 1
    confirm: float | None = None
    grace: float = 0.0
    flap: FlapRule | None = None
    hold: float | None = None


REFERENCE = Policy()
"""The reference's rules: no confirmation, grace, flap rule or hold."""
