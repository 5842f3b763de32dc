"""The agenda: the games of one tick in the order in which they are due, each to be taken once."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterable, Sequence

from healthprobe.worker.roster import WatchedGame


class Agenda:
    """What is due when, in one tick.

    `games` and their `phases`, seconds after `began`, are in ascending order of phase. Without phases every game is
    due as the tick begins. All times are monotonic seconds.
    """

    __slots__ = ("_at_once", "_began", "_games", "_late", "_next", "_phases", "_turn")

    def __init__(self, games: Sequence[WatchedGame], phases: Sequence[float] | None, began: float) -> None:
        self._games = games
        self._at_once = phases is None
        self._phases = [0.0] * len(games) if phases is None else phases
        self._began = began
        self._next = 0
        self._turn = -1.0
        self._late: deque[WatchedGame] = deque()

    @property
    def is_done(self) -> bool:
        """Whether every game was taken."""
        return self._next == len(self._games) and not self._late

    def take(self, now: float) -> WatchedGame | None:
        """The next game, if it is due `now`. One that is not to be asked again so soon is passed over."""
        while self._late:
            game = self._late.popleft()
            if game.not_before <= now and (game.every == 1 or game.has_its_tick()):
                return game
        position = self._next
        while position < len(self._games) and self._phases[position] <= now - self._began:
            game = self._games[position]
            position += 1
            self._next = position
            if game.every > 1 and not game.has_its_tick():
                continue
            if game.not_before <= now or self._at_once:
                return game
        return None

    def replace(self, games: Sequence[WatchedGame], phases: Sequence[float], late: Iterable[WatchedGame] = ()) -> None:
        """Go on with another list: what is due before the last game that was taken has had its turn.

        Of these the `late` ones have not: they are due now.
        """
        if self._next:
            self._turn = max(self._turn, self._phases[self._next - 1])
        self._games, self._phases, self._next = games, phases, bisect_right(phases, self._turn)
        self._late = deque(game for game in self._late if self._has(game))
        self._late.extend(game for game in late if game.phase <= self._turn)

    def waiting(self, now: float) -> int:
        """How many games are due `now` and were not taken yet."""
        return bisect_right(self._phases, now - self._began, lo=self._next) - self._next + len(self._late)

    def ends_with(self, waiting: int) -> bool:
        """Whether there is none beyond the next `waiting` games."""
        return self._next + waiting == len(self._games) + len(self._late)

    def until_next(self, now: float, *, beyond: int) -> float:
        """Seconds until the game is due that comes after the next `beyond`; there must be one."""
        return self._phases[self._next + beyond - len(self._late)] - (now - self._began)

    def _has(self, game: WatchedGame) -> bool:
        first, behind = bisect_left(self._phases, game.phase), bisect_right(self._phases, game.phase)
        return any(each is game for each in self._games[first:behind])
