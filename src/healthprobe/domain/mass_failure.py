"""Mass failure: so much of a fleet fails at once that the fault is more likely the prober's than the engines'.

All times are monotonic seconds.
"""

from __future__ import annotations

from collections import deque

MINIMUM = 5
"""The fewest engines of a mass failure: of three engines two often fail together."""


class MassFailure:
    """Detects that many of the healthy engines fail within one interval.

    A mass failure begins when more than `share` of the healthy engines, and at least MINIMUM, have failed. Its cohort
    is these engines and all that fail while it lasts. It `holds` as long as that many of the cohort still fail, and
    `is_proven` once that many have failed again, an interval later. Memory is bounded by the games that fail.
    """

    def __init__(self, share: float, interval: float) -> None:
        self._share = share
        self._interval = interval
        self._firsts: deque[tuple[float, str]] = deque()
        self._failing: dict[str, float] = {}
        self._again: set[str] = set()
        self._needed: float | None = None

    @property
    def is_on(self) -> bool:
        """Whether a mass failure has begun and was not ended."""
        return self._needed is not None

    @property
    def holds(self) -> bool:
        """Whether a mass failure is on and enough of its cohort still fail."""
        return self._needed is not None and self._is_mass(len(self._failing), self._needed)

    @property
    def is_proven(self) -> bool:
        """Whether a mass failure is on and enough of its cohort have failed again since it began."""
        return self._needed is not None and self._is_mass(len(self._again), self._needed)

    def failed(self, game_id: str, now: float, healthy: int) -> None:
        """Counts the first failure of a game that was healthy; so many others are still `healthy`."""
        self._failing[game_id] = now
        if self.is_on:
            return
        self._firsts.append((now, game_id))
        while self._firsts and self._firsts[0][0] <= now - self._interval:
            at, before = self._firsts.popleft()
            if self._failing.get(before) == at:
                del self._failing[before]
        needed = self._share * (healthy + len(self._failing))
        if self._is_mass(len(self._failing), needed):
            self._needed = needed
            self._firsts.clear()

    def failed_again(self, game_id: str) -> None:
        """Counts that a game whose failures had reached the threshold failed once more, if it is in the cohort."""
        if game_id in self._failing:
            self._again.add(game_id)

    def answered(self, game_id: str) -> None:
        """Removes a game that is healthy again or no longer watched from the cohort."""
        self._failing.pop(game_id, None)
        self._again.discard(game_id)

    def end(self) -> None:
        """Ends the mass failure: it was the engines' fault after all, or it is over."""
        self._needed = None
        self._firsts.clear()
        self._failing.clear()
        self._again.clear()

    @staticmethod
    def _is_mass(failing: int, needed: float) -> bool:
        return failing >= MINIMUM and failing > needed
