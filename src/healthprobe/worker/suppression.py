"""Suppression: what holds a transition back before the log."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

from healthprobe.domain.hysteresis import Transition
from healthprobe.domain.mass_failure import MassFailure
from healthprobe.domain.policy import FlapRule
from healthprobe.worker.config import Terms
from healthprobe.worker.target_set import WatchedGame

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


_LONGEST = 2
"""After how many intervals a hold is over whatever is known: an engine that nobody asks again must not be forgotten."""


@dataclass(slots=True)
class HeldDecision:
    """A `probe_failed` as it was decided, until when it is held at most, in monotonic seconds, and whether its game has
    failed again since.
    """

    transition: Transition
    over_at: float
    failed_again: bool = False


class HeldDecisions:
    """Holds decisions while a mass failure is on, each until its game is asked again, an interval later.

    If it fails then, and so does the share, `release` is called with what was decided, as it was decided. If the share
    answers, all of it was the prober's own blip and is dropped, and whoever still fails is decided anew. They are
    nowhere but here, so that a process that is killed leaves neither an event nor a lie. Without a share in the policy
    nothing is ever held.
    """

    def __init__(self, terms: Terms, release: Callable[[Transition], None]) -> None:
        share = terms.policy.hold
        self._mass = None if share is None else MassFailure(share, terms.interval)
        self._interval = terms.interval
        self._release = release
        self._logger = terms.logger
        self._monotonic = terms.monotonic
        self._held: dict[str, HeldDecision] = {}
        self._has_released = False
        self._news = asyncio.Event()

    def __len__(self) -> int:
        return len(self._held)

    def failed(self, game_id: str, healthy: int) -> None:
        """A game that was healthy failed; so many others are `healthy`."""
        if self._mass is None:
            return
        was_on = self._mass.is_on
        self._mass.failed(game_id, self._monotonic(), healthy)
        if self._mass.is_on and not was_on:
            self._logger.warning("many engines fail at once: decisions are held", healthy=healthy)

    def answered(self, game_id: str) -> None:
        """The game fails no more, is another container, or is not watched any more: nothing was decided."""
        if self._mass is None:
            return
        self._held.pop(game_id, None)
        self._mass.answered(game_id)
        if self._mass.is_on and not self._mass.holds:
            self._drop()

    def wants(self, game_id: str) -> bool:
        """Whether nobody is to be told yet that this game has failed."""
        return self._mass is not None and (self._mass.is_on or game_id in self._held)

    def take(self, transition: Transition) -> None:
        """Hold this `probe_failed`; where one of its game is held already, that one stays."""
        if transition.game_id not in self._held:
            over_at = self._monotonic() + _LONGEST * self._interval
            self._held[transition.game_id] = HeldDecision(transition, over_at)
            self._news.set()

    def failed_again(self, game_id: str) -> None:
        """A game has failed once more than was needed, whether that was told of before the mass failure or is held."""
        if self._mass is None or not self._mass.is_on:
            return
        self._mass.failed_again(game_id)
        if (held := self._held.get(game_id)) is not None:
            held.failed_again = True
        if self._mass.is_proven:
            self._release_all([each for each in self._held.values() if each.failed_again])

    async def run(self) -> None:
        """Release or drop what is held as its time comes, until cancelled."""
        while True:
            self._news.clear()
            if not self._held:
                await self._news.wait()
                continue
            first = next(iter(self._held.values()))  # all are held equally long, so in the order of their coming
            await asyncio.sleep(max(first.over_at - self._monotonic(), 0.0))
            self.settle()

    def settle(self) -> None:
        """Release or drop what has been held for too long."""
        now = self._monotonic()
        due = [each for each in self._held.values() if each.over_at <= now]
        if self._mass is None or not due:
            return
        if self._mass.holds:
            self._release_all(due)
        else:
            self._drop()

    def _release_all(self, decisions: Sequence[HeldDecision]) -> None:
        assert self._mass is not None
        for each in decisions:
            del self._held[each.transition.game_id]
            self._release(each.transition)
        if not self._has_released:
            self._has_released = True
            self._logger.warning("they still fail: held decisions are released")
        if not self._held:
            self._end(self._mass)

    def _drop(self) -> None:
        assert self._mass is not None
        self._logger.warning("they fail no more: it was the prober's own blip", decisions_dropped=len(self._held))
        self._held.clear()
        self._end(self._mass)

    def _end(self, mass: MassFailure) -> None:
        self._has_released = False
        mass.end()
