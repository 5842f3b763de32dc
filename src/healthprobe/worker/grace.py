"""The grace: the time in which a game that has just started may fail."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice

from healthprobe.worker.roster import WatchedGame

_LOOKED_AT = 1_000
"""How many are looked at whether they are over: games that left in their grace are asked no more, and not kept."""


class Grace:
    """Covers games for `seconds` after they came, or until they first answer.

    `monotonic` tells seconds. It holds what is covered at the moment and nothing else, so that a fleet that is past its
    start costs nothing.
    """

    def __init__(self, seconds: float, monotonic: Callable[[], float]) -> None:
        self._seconds = seconds
        self._monotonic = monotonic
        self.until: dict[WatchedGame, float] = {}
        """Until when each is covered; the very same object always."""

    def begin(self, games: Iterable[WatchedGame]) -> None:
        """These have just come, or have a new container."""
        if not self._seconds:
            return
        now = self._monotonic()
        for game, until in list(islice(self.until.items(), _LOOKED_AT)):
            if until <= now:
                del self.until[game]
        self.until.update(dict.fromkeys(games, now + self._seconds))

    def covers(self, game: WatchedGame, now: float) -> bool:
        """Whether a failure of the game does not count."""
        until = self.until.get(game)
        if until is None:
            return False
        if now < until:
            return True
        del self.until[game]
        return False

    def end(self, game: WatchedGame) -> None:
        """It has answered, or is not watched any more."""
        self.until.pop(game, None)
