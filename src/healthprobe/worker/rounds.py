"""The rounds: one pass over all running games, spread over the interval or all at once, and how wide it may be."""

from __future__ import annotations

from healthprobe.domain.outcome import ProbeOutcome
from healthprobe.domain.schedule import AutoLanes
from healthprobe.ports import Prober
from healthprobe.worker.commit import Committer
from healthprobe.worker.roster import RosterChange, WatchedGame
from healthprobe.worker.terms import Terms
from healthprobe.worker.tick import Tick
from healthprobe.worker.verdicts import Verdicts
from healthprobe.worker.view import Watch
from healthprobe.worker.watchlist import Watchlist

DEFAULT_MAX_CONCURRENCY = 16
"""The most probes in flight where a caller gives no number (the reference's)."""


class Width:
    """How many probes may be in flight: a number, or AutoLanes for as many as a pass can need."""

    def __init__(self, max_concurrency: int | AutoLanes) -> None:
        self._max_concurrency = max_concurrency
        self.watchlist: Watchlist | None = None
        self.is_spread = False

    def limit(self) -> int:
        """The most now."""
        if isinstance(self._max_concurrency, int):
            return self._max_concurrency if self._max_concurrency > 0 else DEFAULT_MAX_CONCURRENCY
        if self.watchlist is None:
            return DEFAULT_MAX_CONCURRENCY
        roster = self.watchlist.roster
        return self._max_concurrency.limit(roster.most_in_flight if self.is_spread else len(roster))


class Rounds:
    """Passes over the games of a watchlist, one at a time: list, prune, probe in lanes, judge. `watch` shows what is
    under way. With `stays_open` more games may come until the last that could be due.
    """

    def __init__(
        self,
        terms: Terms,
        prober: Prober,
        *,
        watchlist: Watchlist,
        committer: Committer,
        verdicts: Verdicts,
        width: Width,
        watch: Watch,
        patience: float,
        stays_open: bool,
    ) -> None:
        self._terms = terms
        self._prober = prober
        self._watchlist = watchlist
        self._committer = committer
        self._verdicts = verdicts
        self._width = width
        self._watch = watch
        self._patience = patience
        self._open_for = terms.window.end if stays_open else 0.0
        self._began = 0.0
        self.is_under_way = False

    async def one(self, began: float, *, spread: bool) -> None:
        """One pass that began at `began` (monotonic seconds), its games `spread` over the interval or due at once."""
        self.is_under_way = True
        self._began = began
        self._width.is_spread = spread
        self._watch.due_at = began + self._terms.interval
        self._verdicts.canaries.wake()
        try:
            await self._take_over()
            with self._verdicts.stalls.watching():
                await self._probe_all()
        finally:
            self.is_under_way = False
            self._watch.tick = None

    async def go_on(self, change: RosterChange) -> None:
        """The games have changed so: the present pass goes on with those that there are now.

        Whoever takes a shard over must not, while that lasts, let a turn of its games pass by: they wait long enough.
        """
        began = self._began
        late = await self._watchlist.ours_when_due(change.moved, began)
        roster = self._watchlist.roster
        if self._watch.tick is not None:  # where it is the next one by now, that began with all of them
            late = late if self._began == began else ()
            self._watch.tick.go_on_with(roster.games, roster.phases, self._width.limit(), late)

    async def _take_over(self) -> None:
        """The first games wait until the log has told of them; games that appear among others are probed meanwhile."""
        first = not len(self._watchlist.roster)
        change = await self._watchlist.update()
        if change.appeared and (first or not self._width.is_spread):
            await self._committer.offer_within(self._patience)
        elif change.appeared:
            self._committer.wake()

    async def _probe_all(self) -> None:
        roster, spread = self._watchlist.roster, self._width.is_spread
        self._watch.tick = tick = Tick(
            roster.games,
            roster.phases if spread else None,
            self._prober,
            self._judge,
            began=self._began,
            open_for=self._open_for if spread else 0.0,
            limit=self._width.limit(),
            probe_timeout=self._terms.probe_timeout,
            monotonic=self._terms.monotonic,
        )
        await tick.run()

    def _judge(self, game: WatchedGame, outcome: ProbeOutcome, started: float) -> None:
        due = self._began + game.phase if self._width.is_spread else self._began
        self._verdicts.weigh(game, outcome, started, due)
