"""The flaps: games that go up and down so often that one incident says more than thirty."""

from __future__ import annotations

from collections import Counter, deque

from healthprobe.domain.policy import FlapRule


class Flaps:
    """Remembers what was told of games lately, and keeps those that flap in their incident until they are steady.

    All times are monotonic seconds. Nothing of it outlives the process: a run that begins anew counts anew. Without a
    rule no game flaps.
    """

    def __init__(self, rule: FlapRule | None) -> None:
        self._rule = rule
        self._told: deque[tuple[float, str]] = deque()
        self._times: Counter[str] = Counter()
        self._steady_since: dict[str, float | None] = {}

    def __contains__(self, game_id: str) -> bool:
        """Whether the game is flapping."""
        return game_id in self._steady_since

    def __len__(self) -> int:
        """How many games are flapping."""
        return len(self._steady_since)

    def note(self, game_id: str, now: float) -> None:
        """A transition of the game was decided."""
        if self._rule is None:
            return
        self._steady_since.pop(game_id, None)
        self._told.append((now, game_id))
        self._times[game_id] += 1

    def failed(self, game_id: str) -> None:
        """It is not steady."""
        if game_id in self._steady_since:
            self._steady_since[game_id] = None

    def withholds(self, game_id: str, now: float) -> bool:
        """Whether a success of the game, which is in an incident, is not to end it yet."""
        if self._rule is None:
            return False
        self._forget_before(now - self._rule.within)
        if game_id not in self._steady_since and not self._rule.is_reached(self._times[game_id]):
            return False
        since = self._steady_since.get(game_id)
        if since is None:
            since = self._steady_since[game_id] = now
        return now - since < self._rule.steady

    def dismiss(self, game_id: str) -> None:
        """The game is not watched any more. What was told of it counts still, should it come back."""
        self._steady_since.pop(game_id, None)

    def _forget_before(self, oldest: float) -> None:
        while self._told and self._told[0][0] <= oldest:
            _, game_id = self._told.popleft()
            self._times[game_id] -= 1
            if not self._times[game_id]:
                del self._times[game_id]
