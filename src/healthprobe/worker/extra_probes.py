"""Extra probes: the games that are probed between ticks, to confirm a failure, or because a game is new."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from healthprobe._util.aio import AutoResetEvent
from healthprobe.worker.config import WorkerConfig
from healthprobe.worker.target_set import WatchedGame

_REST_SHARE = 0.5
"""For this share of an interval after its first probe a new game is not due: failures close together would weaken the
threshold."""


class Confirmations:
    """The games whose failure is to be confirmed, each due the policy's spacing (`--confirm`) after its failure.

    While a game waits here, or its extra probe is in flight, its turn in a tick is skipped. All times are monotonic
    seconds.
    """

    def __init__(self, config: WorkerConfig, spacing: float) -> None:
        self._spacing = spacing
        self._longest = spacing + config.interval + config.probe_timeout
        self._games: deque[tuple[float, WatchedGame]] = deque()
        self.added = AutoResetEvent()

    def __len__(self) -> int:
        return len(self._games)

    def add(self, game: WatchedGame, now: float) -> None:
        """The game failed `now`: probe it again."""
        game.is_confirming = True
        game.not_before = now + self._longest
        self._games.append((now + self._spacing, game))
        self.added.set()

    def take(self, now: float) -> WatchedGame | None:
        if self._games and self._games[0][0] <= now:
            return self._games.popleft()[1]
        return None

    def due_at(self, _: WatchedGame, started: float) -> float:
        return started

    def next_due(self, _: float) -> float | None:
        return self._games[0][0] if self._games else None

    def count_due(self, now: float, most: int) -> int:
        due = 0
        for at, _ in self._games:
            if at > now or due == most:
                break
            due += 1
        return due


class Newcomers:
    """The new games that are to be probed as soon as possible, once each. All times are monotonic seconds.

    Where so many engines hang that a game has waited here until it is due in a tick again, its turn is there.
    """

    def __init__(self, interval: float) -> None:
        self._rest = interval * _REST_SHARE
        self._games: deque[WatchedGame] = deque()
        self.added = AutoResetEvent()

    def __len__(self) -> int:
        return len(self._games)

    def add(self, games: Sequence[WatchedGame], now: float) -> None:
        """Probe these games as soon as possible."""
        for game in games:
            game.not_before = now + self._rest
        self._games.extend(games)
        self.added.set()

    def take(self, now: float) -> WatchedGame | None:
        while self._games:
            game = self._games.popleft()
            if now < game.not_before:
                game.not_before = now + self._rest
                return game
        return None

    def due_at(self, _: WatchedGame, started: float) -> float:
        return started

    def next_due(self, now: float) -> float | None:
        return now if self._games else None

    def count_due(self, _: float, most: int) -> int:
        return min(len(self._games), most)
