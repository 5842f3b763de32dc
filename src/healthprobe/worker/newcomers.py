"""The newcomers: games that came in the middle of a tick. They are asked at once and not when the next tick begins."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from healthprobe.ports import Prober
from healthprobe.worker.lanes import Judge
from healthprobe.worker.roster import WatchedGame
from healthprobe.worker.tick import Tick

_LIMIT = 64
"""The most of them that are asked at the same time."""

_REST_SHARE = 0.5
"""The share of an interval in which a newcomer that was asked is not due again: two failures that come close upon each
other would make a threshold worth less."""


class Newcomers:
    """Probes each game that it is told of once, beside the ticks. `judge` is told the outcomes."""

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
        self._called: list[WatchedGame] = []
        self._wanted = asyncio.Event()

    def call(self, games: Sequence[WatchedGame]) -> None:
        """Ask these as soon as can be."""
        now = self._monotonic()
        for game in games:
            game.not_before = now + self._rest
        self._called.extend(games)
        self._wanted.set()

    async def run(self) -> None:
        """Ask whoever is called, until cancelled."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            called, self._called = self._called, []
            tick = Tick(
                called,
                None,
                self._prober,
                self._judge,
                began=self._monotonic(),
                limit=_LIMIT,
                probe_timeout=self._probe_timeout,
                monotonic=self._monotonic,
            )
            await tick.run()
