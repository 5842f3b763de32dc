"""The verdicts: all that stands between what a probe gave and what is decided, put together and kept running."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager

from healthprobe.domain.outcome import ProbeOutcome
from healthprobe.domain.target import ProbeTarget
from healthprobe.ports import Prober, ShardTenure, Telemetry
from healthprobe.worker.beside import beside
from healthprobe.worker.canaries import Canaries
from healthprobe.worker.confirmations import Confirmations
from healthprobe.worker.grace import Grace
from healthprobe.worker.judgement import Judgement
from healthprobe.worker.ledger import Ledger
from healthprobe.worker.roster import Roster, WatchedGame
from healthprobe.worker.stall import StallWatches
from healthprobe.worker.terms import Terms
from healthprobe.worker.weighing import Weighing

_AFTER_A_FAULT = 1.0
"""How long to wait, in seconds, before what broke is begun again."""


class Verdicts:
    """Takes outcomes into account: by the loop's own stalls, the canaries, the grace of newcomers, the policy.

    `roster` tells the games in force. `on_decision` is called when a transition waits for the log, `on_sight` with
    whether this worker sees when that has changed.
    """

    def __init__(
        self,
        terms: Terms,
        ledger: Ledger,
        *,
        prober: Prober,
        telemetry: Telemetry,
        canaries: Sequence[ProbeTarget],
        shards: ShardTenure | None,
        roster: Callable[[], Roster],
        lane_limit: Callable[[], int],
        on_decision: Callable[[], None],
        on_sight: Callable[[bool], None] | None,
    ) -> None:
        self.grace = Grace(terms.policy.grace, terms.monotonic)
        self.judgement = Judgement(terms, ledger, roster, on_decision)
        self.stalls = StallWatches(terms.probe_timeout, terms.monotonic)
        self._confirmations = Confirmations(terms, prober, self.weigh_beside, lane_limit)
        self._weighing = Weighing(
            terms,
            ledger,
            judgement=self.judgement,
            grace=self.grace,
            stalls=self.stalls,
            shards=shards,
            roster=roster,
            record_probe=telemetry.record_probe,
            confirm=None if terms.policy.confirm is None else self._confirmations.call,
        )
        self.canaries = Canaries(terms, canaries, prober, settle=self._weighing.settle, on_sight=on_sight)
        if canaries:
            self._weighing.ask(self.canaries)
        self.weigh = self._weighing.weigh
        self.tell_of = self._weighing.tell_of

    def weigh_beside(self, game: WatchedGame, outcome: ProbeOutcome, started: float) -> None:
        """Take the outcome of a probe into account that belongs to no tick, and so began when it was due."""
        self._weighing.weigh(game, outcome, started, started)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Ask the canaries, confirm, and release what was held, as long as somebody is inside."""
        works = (self._confirmations.run, self.canaries.run, self.judgement.held.run)
        async with beside(*map(self._on_and_on, works)):
            yield

    async def _on_and_on(self, work: Callable[[], Coroutine[None, None, None]]) -> None:
        """A fault in what is done beside the ticks must not leave failures undecided for ever."""
        while True:
            try:
                return await work()
            except Exception as error:  # noqa: BLE001  a collaborator's, or our own
                self.tell_of(error)
            await asyncio.sleep(_AFTER_A_FAULT)

    async def settle(self) -> None:
        """Do at once, and to its end, what is done beside the ticks of a run."""
        await self.canaries.settle_all()
        while self._confirmations.waiting:
            await self._confirmations.drain()
            await self.canaries.settle_all()
        self.judgement.held.settle()
