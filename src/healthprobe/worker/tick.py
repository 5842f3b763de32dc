"""The tick: one pass over all running records, and the loop that starts one every interval."""

from __future__ import annotations

import asyncio
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from healthprobe._util.aio import AutoResetEvent
from healthprobe.domain.outcome import ProbeOutcome
from healthprobe.domain.schedule import AutoLanes
from healthprobe.ports import Prober
from healthprobe.worker.config import Terms
from healthprobe.worker.discovery import Watchlist
from healthprobe.worker.event_writer import Committer
from healthprobe.worker.lanes import Judge, Lanes
from healthprobe.worker.target_set import TargetSetChange, WatchedGame
from healthprobe.worker.verdict import Verdicts


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


_PACE = 0.005
"""The least time, in seconds, between two looks at what is due: probes start in small groups, which costs less."""

_GROUP = 32
"""The most probes begun between two turns of the loop: when many are due at once, a turn must stay short, or the loop
would stall and its stall make their outcomes inconclusive."""


class Tick:
    """One pass over `games`, which with `phases` are due so many seconds after `began`, and without all at once.

    At most `limit` probes are in flight. `judge` is told each outcome and must not raise. For `open_for` seconds after
    `began` there may come more.
    """

    def __init__(
        self,
        games: Sequence[WatchedGame],
        phases: Sequence[float] | None,
        prober: Prober,
        judge: Judge,
        *,
        began: float,
        limit: int,
        probe_timeout: float,
        monotonic: Callable[[], float],
        open_for: float = 0.0,
    ) -> None:
        self._agenda = Agenda(games, phases, began)
        self._lanes = Lanes(self._agenda, prober, judge, limit=limit, probe_timeout=probe_timeout, monotonic=monotonic)
        self._open_until = began + open_for
        self._monotonic = monotonic
        self._changed = AutoResetEvent()

    @property
    def in_flight(self) -> int:
        """How many probes are in flight."""
        return self._lanes.busy

    @property
    def limit(self) -> int:
        """How many there may be."""
        return self._lanes.limit

    async def run(self) -> None:
        """Returns when every game that fell due is judged."""
        agenda = self._agenda
        async with self._lanes as lanes:
            while not agenda.is_done or self._monotonic() < self._open_until:
                now = self._monotonic()
                waiting = agenda.waiting(now)
                begun = lanes.begin(min(waiting, _GROUP))
                if begun < waiting:
                    await asyncio.sleep(0 if begun == _GROUP else _PACE)
                elif not agenda.ends_with(waiting):
                    await self._until(now + agenda.until_next(now, beyond=waiting))
                elif now < self._open_until:
                    await self._until(self._open_until)
                else:
                    break
            await lanes.all_judged()

    def go_on_with(
        self, games: Sequence[WatchedGame], phases: Sequence[float], limit: int, late: Iterable[WatchedGame] = ()
    ) -> None:
        """From now on these games, with at most `limit` probes in flight.

        What has had its turn has had it; those that are `late` have theirs now.
        """
        self._agenda.replace(games, phases, late)
        self._lanes.limit = limit
        self._changed.set()

    async def _until(self, due: float) -> None:
        seconds = due - self._monotonic()
        if seconds > _PACE:
            await self._changed.wait_at_most(seconds)
        else:
            await asyncio.sleep(_PACE)


DEFAULT_MAX_CONCURRENCY = 16
"""The most probes in flight where a caller gives no number (the reference's)."""


@dataclass(slots=True)
class Watch:
    """What the ticks tell of themselves. `due_at` is when the present or next one is, in monotonic seconds; 0 before
    the first.
    """

    due_at: float = 0.0
    tick: Tick | None = None


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
        target_set = self.watchlist.target_set
        return self._max_concurrency.limit(target_set.most_in_flight if self.is_spread else len(target_set))


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

    async def go_on(self, change: TargetSetChange) -> None:
        """The games have changed so: the present pass goes on with those that there are now.

        Whoever takes a shard over must not, while that lasts, let a turn of its games pass by: they wait long enough.
        """
        began = self._began
        late = await self._watchlist.ours_when_due(change.moved, began)
        target_set = self._watchlist.target_set
        if self._watch.tick is not None:  # where it is the next one by now, that began with all of them
            late = late if self._began == began else ()
            self._watch.tick.go_on_with(target_set.games, target_set.phases, self._width.limit(), late)

    async def _take_over(self) -> None:
        """The first games wait until the log has told of them; games that appear among others are probed meanwhile."""
        first = not len(self._watchlist.target_set)
        change = await self._watchlist.update()
        if change.appeared and (first or not self._width.is_spread):
            await self._committer.offer_within(self._patience)
        elif change.appeared:
            self._committer.wake()

    async def _probe_all(self) -> None:
        target_set, spread = self._watchlist.target_set, self._width.is_spread
        self._watch.tick = tick = Tick(
            target_set.games,
            target_set.phases if spread else None,
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
