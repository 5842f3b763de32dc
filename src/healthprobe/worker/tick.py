"""The tick: one pass over all running games, and the loop that starts one every interval."""

from __future__ import annotations

import asyncio
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from healthprobe._util.aio import AutoResetEvent, cooperative_iter
from healthprobe._util.safe_logging import RateLimitedWarning
from healthprobe.domain.schedule import next_tick
from healthprobe.ports import Prober, ShardLeases
from healthprobe.worker.canaries import Canaries
from healthprobe.worker.config import Clock, WorkerConfig
from healthprobe.worker.discovery import Discovery
from healthprobe.worker.event_writer import EventWriter
from healthprobe.worker.lanes import GROUP, PACE, Lanes
from healthprobe.worker.safe_telemetry import SafeTelemetry
from healthprobe.worker.stall_detector import StallDetector
from healthprobe.worker.target_set import TargetSetChange, WatchedGame
from healthprobe.worker.verdict import Verdict


class DueGames:
    """The games of one tick in the order of their phases, in seconds after `began`.

    Without phases every game is due as the tick begins. All times are monotonic seconds.
    """

    __slots__ = ("_at_once", "_began", "_games", "_last_phase", "_late", "_next", "_phases")

    def __init__(self, games: Sequence[WatchedGame], phases: Sequence[float] | None, began: float) -> None:
        self._games = games
        self._at_once = phases is None
        self._phases = [0.0] * len(games) if phases is None else phases
        self._began = began
        self._next = 0
        self._last_phase = -1.0
        self._late: deque[WatchedGame] = deque()

    @property
    def is_done(self) -> bool:
        """Whether every game was taken."""
        return self._next == len(self._games) and not self._late

    def take(self, now: float) -> WatchedGame | None:
        """Returns the next game that is due `now`. A game that is not due again so soon is skipped."""
        while self._late:
            game = self._late.popleft()
            if game.not_before <= now and (game.every == 1 or game.is_due_this_tick()):
                return game
        position = self._next
        while position < len(self._games) and self._phases[position] <= now - self._began:
            game = self._games[position]
            position += 1
            self._next = position
            if game.every > 1 and not game.is_due_this_tick():
                continue
            if game.not_before <= now or self._at_once:
                return game
        return None

    def due_at(self, game: WatchedGame, _: float) -> float:
        """Returns when the game was due."""
        return self._began if self._at_once else self._began + game.phase

    def replace(self, games: Sequence[WatchedGame], phases: Sequence[float], late: Iterable[WatchedGame] = ()) -> None:
        """Goes on with other games. Those due before the last one that was taken have had their turn, except `late`."""
        if self._next:
            self._last_phase = max(self._last_phase, self._phases[self._next - 1])
        self._games, self._phases, self._next = games, phases, bisect_right(phases, self._last_phase)
        self._late = deque(game for game in self._late if self._has(game))
        self._late.extend(game for game in late if game.phase <= self._last_phase)

    def count_due(self, now: float) -> int:
        """Returns how many games are due `now` and not yet taken."""
        return bisect_right(self._phases, now - self._began, lo=self._next) - self._next + len(self._late)

    def ends_with(self, waiting: int) -> bool:
        """Returns whether there are no games beyond the next `waiting` ones."""
        return self._next + waiting == len(self._games) + len(self._late)

    def until_next(self, now: float, *, beyond: int) -> float:
        """Returns the seconds until the game after the next `beyond` is due; there must be one."""
        return self._phases[self._next + beyond - len(self._late)] - (now - self._began)

    def _has(self, game: WatchedGame) -> bool:
        first, behind = bisect_left(self._phases, game.phase), bisect_right(self._phases, game.phase)
        return any(each is game for each in self._games[first:behind])


class Tick:
    """One pass over `games`, each due at its phase after `began`, or all at once where there are no phases.

    At most `limit` probes are in flight. Games may be added for `open_for` seconds after `began`.
    """

    def __init__(
        self,
        games: Sequence[WatchedGame],
        phases: Sequence[float] | None,
        prober: Prober,
        verdict: Verdict,
        *,
        began: float,
        limit: int,
        probe_timeout: float,
        monotonic: Callable[[], float],
        open_for: float = 0.0,
    ) -> None:
        self._due = DueGames(games, phases, began)
        self._lanes = Lanes(self._due, prober, verdict, limit=limit, probe_timeout=probe_timeout, monotonic=monotonic)
        self._open_until = began + open_for
        self._monotonic = monotonic
        self._changed = AutoResetEvent()

    @property
    def in_flight(self) -> int:
        """How many probes are in flight."""
        return self._lanes.busy

    @property
    def limit(self) -> int:
        """The most probes in flight."""
        return self._lanes.limit

    async def run(self) -> None:
        """Returns when the outcome of every game that fell due is processed."""
        due = self._due
        async with self._lanes as lanes:
            while not due.is_done or self._monotonic() < self._open_until:
                now = self._monotonic()
                waiting = due.count_due(now)
                begun = lanes.begin(min(waiting, GROUP))
                if begun < waiting:
                    await asyncio.sleep(0 if begun == GROUP else PACE)
                elif not due.ends_with(waiting):
                    await self._sleep_until(now + due.until_next(now, beyond=waiting))
                elif now < self._open_until:
                    await self._sleep_until(self._open_until)
                else:
                    break
            await lanes.all_processed()

    def replace(
        self, games: Sequence[WatchedGame], phases: Sequence[float], limit: int, late: Iterable[WatchedGame] = ()
    ) -> None:
        """Goes on with other games and another limit. Games that have had their turn get no other, except `late`."""
        self._due.replace(games, phases, late)
        self._lanes.limit = limit
        self._changed.set()

    async def _sleep_until(self, due: float) -> None:
        seconds = due - self._monotonic()
        if seconds > PACE:
            await self._changed.wait_at_most(seconds)
        else:
            await asyncio.sleep(PACE)


class Ticker:
    """Runs ticks, one at a time: each lists the games, reads the last events of the first ones, and probes all.

    `tick` is the one that runs now. `due_at` is when it should be over, in monotonic seconds; 0 before the first.
    """

    def __init__(
        self,
        config: WorkerConfig,
        discovery: Discovery,
        event_writer: EventWriter,
        verdict: Verdict,
        *,
        prober: Prober,
        canaries: Canaries,
        stalls: StallDetector,
        shards: ShardLeases | None,
        telemetry: SafeTelemetry,
        clock: Clock,
        errors: RateLimitedWarning,
    ) -> None:
        self._config = config
        self._discovery = discovery
        self._event_writer = event_writer
        self._prober = prober
        self._canaries = canaries
        self._stalls = stalls
        self._verdict = verdict
        self._shards = shards
        self._telemetry = telemetry
        self._monotonic = clock.monotonic
        self._errors = errors
        self._began = 0.0
        self.tick: Tick | None = None
        self.due_at = 0.0
        self.is_running = False

    async def run(self) -> None:
        """Runs a tick every interval, the first at once, until cancelled. Late ticks are dropped and counted."""
        interval, origin, number = self._config.interval, self._monotonic(), 0
        while True:
            began = origin + number * interval
            try:
                await self.run_once(began, spread=True)
            except Exception as error:  # noqa: BLE001  the next tick goes on
                self._errors.warn_of(error)
            now = self._monotonic()
            number, dropped = next_tick(number, now - origin, interval)
            self._telemetry.record_tick(len(self._discovery.target_set), now - began, dropped)
            await asyncio.sleep(max(origin + number * interval - now, 0.0))

    async def run_once(self, began: float, *, spread: bool) -> None:
        """Runs one tick that began at `began`, with its probes `spread` over the interval or all due at once."""
        self.is_running = True
        self._began = began
        self.due_at = began + self._config.interval
        self._canaries.wanted.set()
        try:
            is_first = not len(self._discovery.target_set)
            change = await self._discovery.update(for_tick=True)
            if change.appeared and (is_first or not spread):  # else the games before them must not wait
                await self._event_writer.write_within(self._config.call_patience)
            target_set = self._discovery.target_set
            self.tick = Tick(
                target_set.games,
                target_set.phases if spread else None,
                self._prober,
                self._verdict,
                began=began,
                limit=self._config.lane_limit(target_set.most_in_flight if spread else len(target_set)),
                probe_timeout=self._config.probe_timeout,
                monotonic=self._monotonic,
                open_for=self._config.window.end if spread and self._shards is not None else 0.0,
            )
            with self._stalls.running():
                await self.tick.run()
        finally:
            self.is_running = False
            self.tick = None

    async def apply(self, change: TargetSetChange) -> None:
        """Lets the running tick go on with the games that are in force now.

        A game of a shard that we have just taken over is probed even if its turn is over, provided that the shard was
        ours at that time: it has waited long enough.
        """
        began, late = self._began, []
        if self._shards is not None:
            covers = self._shards.covers
            late = [game async for game in cooperative_iter(change.moved) if covers(game.shard, began + game.phase)]
        target_set = self._discovery.target_set
        if self.tick is not None:
            if self._began != began:  # the next tick has begun meanwhile, with all games
                late = []
            limit = self._config.lane_limit(target_set.most_in_flight)
            self.tick.replace(target_set.games, target_set.phases, limit, late)
