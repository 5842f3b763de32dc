"""The arithmetic of the schedule: when in a tick a game is probed, how many lanes a tick needs, which tick comes next.

All times are seconds since the start of a tick.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

DEADLINE_SLACK = 0.05
"""How much later than its timeout a probe may end, in seconds: the resolution of the timer wheel."""

_MARGIN_SHARE = 0.05
_MARGIN_LIMIT = 0.1
_LATE_SHARE = 0.1


def phase_fraction(game_id: str) -> float:
    """Returns a number in [0, 1) for this id: the same in every process, evenly distributed over all ids.

    It depends on the id alone, so that games which appear or leave do not move the phases of others.

    >>> round(phase_fraction("game-7"), 4)
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
        """Returns when in the tick a game with this `phase_fraction` is probed.

        >>> Window(0.1, 2.9).phase(0.5)
        1.5
        """
        return self.start + (self.end - self.start) * fraction


def until_phase(fraction: float, now: float, period: float) -> float:
    """Returns the seconds until the clock is next at this fraction of `period`: more than 0, at most `period`.

    >>> until_phase(0.5, now=10.0, period=300.0), until_phase(0.5, now=150.0, period=300.0)
    (140.0, 300.0)
    """
    return period - (now - fraction * period) % period


@dataclass(frozen=True, slots=True)
class AutoLanes:
    """As many lanes as a tick needs even if every engine hangs, but at most `ceiling` if there is one."""

    ceiling: int | None = None

    def limit(self, most_in_flight: int) -> int:
        """Returns the lanes for a tick with at most `most_in_flight` probes at once, as `lanes_needed` found."""
        return most_in_flight if self.ceiling is None else min(most_in_flight, self.ceiling)


AT_ONCE = Window(0.0, 0.0)
"""No spreading: every probe is due at the start of the tick."""


def spread_window(interval: float, timeout: float) -> Window:
    """Returns the window in which a tick ends before the next begins, even if its last probe times out.

    It lies within [0, interval - timeout]. A twentieth of that (at most 0.1 s) is left free at both ends: at the
    start for listing the records, at the end for the timer wheel. A timeout that is not shorter than the interval
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
    """Returns how many probes are in flight at once if every engine hangs: the most that start within one timeout.

    `phases` are in ascending order. With that many lanes no probe ever waits for another engine. A growing list needs
    no second look at its beginning: the first `counted` of its phases were found to need `most` lanes.

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
    """Returns the next tick and how many were dropped, if tick `number` ended `elapsed` seconds after tick 0 began.

    Tick n is due at n x interval. A tick that came due while another ran is dropped, not queued, unless it is less than
    a tenth of the interval late: a few milliseconds must not cost a whole tick.

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
    """Returns the pause before the next try in seconds, doubling from 0.1 s up to `longest`.

    `fraction`, a random number in [0, 1), shortens it by up to a half, so that many clients do not retry at once.

    >>> [round(backoff(failures, 0.0, longest=30.0), 1) for failures in (0, 1, 2, 20)]
    [0.1, 0.2, 0.4, 30.0]
    """
    return min(longest, 0.1 * 2.0 ** min(failures, 60)) * (1 - fraction / 2)
