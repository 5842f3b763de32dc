"""The mass failure: when so much of a fleet fails at once that the prober is likelier at fault than the engines.

All times are monotonic seconds. A failure here is the first of a game that was healthy.
"""

from __future__ import annotations

from collections import deque

LEAST = 5
"""How many engines a mass failure has at least: of three engines two fail easily together."""


class MassFailure:
    """Watches how many of the engines that were healthy fail within one interval.

    It begins when they are more than `share` of those, and at least LEAST. From then on it has a cohort: those, and
    whoever fails while it lasts. It `holds` as long as nobody knows better than that the share, and LEAST, still fail;
    it is `proven` when so many have failed again, an interval later. What it keeps is bounded by the games that fail.
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
        """Whether one has begun and was not ended."""
        return self._needed is not None

    @property
    def holds(self) -> bool:
        """Whether one is on, and the share of its cohort still fails."""
        return self._needed is not None and self._is_mass(len(self._failing), self._needed)

    @property
    def is_proven(self) -> bool:
        """Whether the share has failed again since it was decided that it had failed."""
        return self._needed is not None and self._is_mass(len(self._again), self._needed)

    def failed(self, game_id: str, now: float, healthy: int) -> None:
        """A game that was healthy failed, and so many others are `healthy` still."""
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
        """The game had failed for good, and has done so once more. One that is none of the cohort does not count."""
        if game_id in self._failing:
            self._again.add(game_id)

    def answered(self, game_id: str) -> None:
        """The game fails no more, or is not watched any more."""
        self._failing.pop(game_id, None)
        self._again.discard(game_id)

    def end(self) -> None:
        """It was the engines after all, or it is over: begin to watch anew."""
        self._needed = None
        self._firsts.clear()
        self._failing.clear()
        self._again.clear()

    @staticmethod
    def _is_mass(failing: int, needed: float) -> bool:
        return failing >= LEAST and failing > needed
