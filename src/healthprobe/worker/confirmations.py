"""The confirmations: an engine that was up and failed is asked again at once, and not when the next tick comes."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from healthprobe.domain.outcome import ProbeOutcome
from healthprobe.ports import Prober
from healthprobe.worker.lanes import Judge, Lanes
from healthprobe.worker.news import News
from healthprobe.worker.roster import WatchedGame
from healthprobe.worker.terms import Terms

_GROUP = 32
_PACE = 0.005
"""As a tick: small groups, so that no turn of the loop is long."""


class Confirmations:
    """Probes each game that it is told of once more, the policy's spacing after it was told, beside the ticks.

    `judge` is told the outcomes, and may call for the next. While a game waits here its turn in a tick is passed over.
    Without a spacing nothing is confirmed.
    """

    def __init__(self, terms: Terms, prober: Prober, judge: Judge, lane_limit: Callable[[], int]) -> None:
        self._spacing = terms.policy.confirm
        self._prober = prober
        self._judge = judge
        self._lane_limit = lane_limit
        self._probe_timeout = terms.probe_timeout
        self._longest = (self._spacing or 0.0) + terms.interval + terms.probe_timeout
        self._monotonic = terms.monotonic
        self._waiting: deque[tuple[float, WatchedGame]] = deque()
        self._news = News()

    @property
    def waiting(self) -> int:
        """How many games are to be asked again."""
        return len(self._waiting)

    def call(self, game: WatchedGame) -> None:
        """Ask this game again."""
        assert self._spacing is not None
        now = self._monotonic()
        game.not_before = now + self._longest
        self._waiting.append((now + self._spacing, game))
        self._news.tell()

    def take(self, now: float) -> WatchedGame | None:
        """The next game that is due `now`."""
        if self._waiting and self._waiting[0][0] <= now:
            return self._waiting.popleft()[1]
        return None

    async def run(self) -> None:
        """Ask whoever is called, until cancelled."""
        if self._spacing is not None:
            async with self._lanes() as lanes:
                while True:
                    await self._go_on(lanes)

    async def drain(self) -> None:
        """Ask until nobody waits any more."""
        async with self._lanes() as lanes:
            while self._waiting:
                await self._go_on(lanes)
                await lanes.all_judged()

    def _lanes(self) -> Lanes:
        return Lanes(
            self,
            self._prober,
            self._judge_last,
            limit=1,
            probe_timeout=self._probe_timeout,
            monotonic=self._monotonic,
        )

    async def _go_on(self, lanes: Lanes) -> None:
        """Begin what is due, or wait until something is."""
        now = self._monotonic()
        lanes.limit = max(self._lane_limit(), 1)
        due = 0
        for at, _ in self._waiting:
            if at > now or due == _GROUP:
                break
            due += 1
        lanes.begin(due)
        if due:
            await asyncio.sleep(_PACE)
        elif self._waiting:
            await self._news.pause(max(self._waiting[0][0] - now, _PACE))
        else:
            await self._news.heard()

    def _judge_last(self, game: WatchedGame, outcome: ProbeOutcome, started: float) -> None:
        game.not_before = 0.0
        self._judge(game, outcome, started)
