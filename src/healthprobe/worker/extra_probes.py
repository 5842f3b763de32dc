"""Extra probes: those between ticks, to confirm a failure or to greet a new game."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from healthprobe._util.aio import AutoResetEvent
from healthprobe.domain.outcome import ProbeOutcome
from healthprobe.ports import Prober
from healthprobe.worker.config import Terms
from healthprobe.worker.lanes import Judge, Lanes
from healthprobe.worker.target_set import WatchedGame

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
        self._news = AutoResetEvent()

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
        self._news.set()

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
            await self._news.wait_at_most(max(self._waiting[0][0] - now, _PACE))
        else:
            await self._news.wait()

    def _judge_last(self, game: WatchedGame, outcome: ProbeOutcome, started: float) -> None:
        game.not_before = 0.0
        self._judge(game, outcome, started)


_LIMIT = 64
"""The most of them that are asked at the same time."""

_REST_SHARE = 0.5
"""The share of an interval in which a newcomer that was asked is not due again: two failures that come close upon each
other would make a threshold worth less."""

_GROUP = 32
_PACE = 0.005
"""As a tick: small groups, so that no turn of the loop is long."""


class Newcomers:
    """Probes each game that it is told of once, beside the ticks. `judge` is told the outcomes.

    One that hangs keeps none waiting that comes after it. Where so many hang that one has waited here for as long as it
    was not due in a tick, it has its turn there.
    """

    def __init__(
        self,
        prober: Prober,
        judge: Judge,
        *,
        interval: float,
        probe_timeout: float,
        monotonic: Callable[[], float],
    ) -> None:
        self._prober = prober
        self._judge = judge
        self._rest = interval * _REST_SHARE
        self._probe_timeout = probe_timeout
        self._monotonic = monotonic
        self._called: deque[WatchedGame] = deque()
        self._news = AutoResetEvent()

    def call(self, games: Sequence[WatchedGame]) -> None:
        """Ask these as soon as can be."""
        now = self._monotonic()
        for game in games:
            game.not_before = now + self._rest
        self._called.extend(games)
        self._news.set()

    def take(self, now: float) -> WatchedGame | None:
        """The next one that is to be asked `now`."""
        while self._called:
            game = self._called.popleft()
            if now < game.not_before:
                game.not_before = now + self._rest
                return game
        return None

    async def run(self) -> None:
        """Ask whoever is called, until cancelled."""
        lanes = Lanes(
            self,
            self._prober,
            self._judge,
            limit=_LIMIT,
            probe_timeout=self._probe_timeout,
            monotonic=self._monotonic,
        )
        async with lanes:
            while True:
                if not self._called:
                    await self._news.wait()
                lanes.begin(min(len(self._called), _GROUP))
                await asyncio.sleep(_PACE)
