"""The newcomers: games that came in the middle of a tick. They are asked at once and not when the next tick begins."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from healthprobe.ports import Prober
from healthprobe.worker.lanes import Judge, Lanes
from healthprobe.worker.news import News
from healthprobe.worker.roster import WatchedGame

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
        self._news = News()

    def call(self, games: Sequence[WatchedGame]) -> None:
        """Ask these as soon as can be."""
        now = self._monotonic()
        for game in games:
            game.not_before = now + self._rest
        self._called.extend(games)
        self._news.tell()

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
                    await self._news.heard()
                lanes.begin(min(len(self._called), _GROUP))
                await asyncio.sleep(_PACE)
