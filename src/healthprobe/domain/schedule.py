"""Schedule arithmetic: when in a tick a game is probed, how many lanes that takes, and which tick comes next.

All times are seconds since the start of a tick. Nothing here reads a clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

DEADLINE_SLACK = 0.05
"""How much later than its timeout a probe may end, in seconds: the coarseness of the deadline sweep."""

_MARGIN_SHARE = 0.05
_MARGIN_LIMIT = 0.1
_LATE_SHARE = 0.1


def fraction_of(game_id: str) -> float:
    """A number in [0, 1) that is the game's own: the same in every process, evenly spread over all ids.

    It depends on nothing but the id, so games that appear or leave keep the phases of all others unmoved.

    >>> round(fraction_of("game-7"), 4)
    0.7026
    """
    digest = blake2b(game_id.encode("utf-8", "surrogatepass"), digest_size=6).digest()
    return int.from_bytes(digest, "big") / (1 << 48)


@dataclass(frozen=True, slots=True)
class Window:
    """The part of a tick in which probes start, in seconds since the tick's start."""

    start: float
    end: float

    def phase(self, fraction: float) -> float:
        """Where in the tick the game with this `fraction_of` its id is probed.

        >>> Window(0.1, 2.9).phase(0.5)
        1.5
        """
        return self.start + (self.end - self.start) * fraction


@dataclass(frozen=True, slots=True)
class AutoLanes:
    """As many lanes as a tick needs where every engine hangs, and at most `ceiling` if there is one."""

    ceiling: int | None = None

    def limit(self, most_in_flight: int) -> int:
        """The lanes for a tick that `lanes_needed` finds to have so many probes in flight at worst."""
        return most_in_flight if self.ceiling is None else min(most_in_flight, self.ceiling)


AT_ONCE = Window(0.0, 0.0)
"""No spreading: every probe is due as the tick starts."""


def spread_window(interval: float, timeout: float) -> Window:
    """The window that lets a tick end before the next begins, even where its last probe runs into the timeout.

    It lies within [0, interval - timeout]. A twentieth of that (at most 0.1 s) is left free at both ends: at the
    start for listing the records, at the end for the deadline sweep. A timeout that is not shorter than the interval
    leaves no room to spread.

    >>> spread_window(interval=5.0, timeout=2.0)
    Window(start=0.1, end=2.9)
    >>> spread_window(interval=1.0, timeout=0.5)
    Window(start=0.025, end=0.475)
    >>> spread_window(interval=1.0, timeout=1.0)
    Window(start=0.0, end=0.0)
    """
    room = interval - timeout
    if room <= 0:
        return AT_ONCE
    margin = min(room * _MARGIN_SHARE, _MARGIN_LIMIT)
    return Window(margin, room - margin)


def lanes_needed(phases: Sequence[float], timeout: float, *, counted: int = 0, most: int = 0) -> int:
    """How many probes are in flight at once where every engine hangs: the most that start within one timeout.

    `phases` are in ascending order. With that many lanes no probe waits for another engine, whatever engines do.
    A long list can be looked at as it grows: the first `counted` of its phases were found to need `most` lanes.

    >>> lanes_needed([0.0, 0.1, 0.2, 3.0], timeout=2.0)
    3
    >>> lanes_needed([0.0, 3.0, 6.0], timeout=2.0)
    1
    >>> lanes_needed([0.0, 3.0, 6.0, 6.1], timeout=2.0, counted=3, most=1)
    2
    """
    held = timeout + DEADLINE_SLACK
    for index in range(counted, len(phases)):
        if phases[index - most] + held > phases[index]:
            most += 1
    return most


def next_tick(number: int, elapsed: float, interval: float) -> tuple[int, int]:
    """The tick to begin after tick `number` ended `elapsed` seconds after tick 0 began, and how many were dropped.

    Tick n is due at n x interval. One that came due while another ran is dropped, not queued; only one that is less
    than a tenth of the interval late is begun all the same, so that a few milliseconds do not cost a whole pass.

    >>> next_tick(0, elapsed=2.0, interval=5.0)
    (1, 0)
    >>> next_tick(0, elapsed=5.2, interval=5.0)
    (1, 0)
    >>> next_tick(0, elapsed=11.0, interval=5.0)
    (3, 2)
    """
    following = number + 1
    while elapsed > (following + _LATE_SHARE) * interval:
        missed = int(elapsed / interval - _LATE_SHARE) - following + 1
        following += max(missed, 1)
    return following, following - number - 1


def backoff(failures: int, fraction: float, longest: float) -> float:
    """How long to pause before the next try, in seconds: doubling from 0.1 s up to `longest`.

    `fraction`, a random number in [0, 1), takes away up to half of it, so that many who wait do not return as one.

    >>> [round(backoff(failures, 0.0, longest=30.0), 1) for failures in (0, 1, 2, 20)]
    [0.1, 0.2, 0.4, 30.0]
    """
    return min(longest, 0.1 * 2.0 ** min(failures, 60)) * (1 - fraction / 2)
