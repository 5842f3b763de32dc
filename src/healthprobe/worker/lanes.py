"""Lanes: coroutines that each take the next due game, probe it, judge it, and take the next."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol, Self

from healthprobe._util.aio import raise_if_cancelled
from healthprobe.domain.outcome import Failed, FailureKind, Inconclusive, ProbeOutcome
from healthprobe.domain.schedule import DEADLINE_SLACK
from healthprobe.ports import Prober
from healthprobe.worker.target_set import WatchedGame

Judge = Callable[[WatchedGame, ProbeOutcome, float], None]
"""What to do with an outcome: the game, what its probe gave, and when that began (monotonic seconds)."""

_CHECKS_PER_TIMEOUT = 4


class Due(Protocol):
    """Where lanes get their games from."""

    def take(self, now: float) -> WatchedGame | None:
        """The next game that is due `now`, in monotonic seconds, or None."""
        ...


class Lane:
    """What one lane is doing: the game in flight, since when, and whether its prober broke its promise of an end."""

    __slots__ = ("game", "overdue", "started", "task")

    task: asyncio.Task[None]

    def __init__(self) -> None:
        self.game: WatchedGame | None = None
        self.started = 0.0
        self.overdue = False


class Lanes:
    """The lanes of one tick: at most `limit` (which may change), started only when a due game finds none idle.

    A probe costs no task, and a lane that ends one goes straight on to the next that is due. A prober that raises gives
    an inconclusive outcome, one that does not answer in time a failure; neither disturbs another game's probe. `judge`
    must not raise.
    """

    def __init__(
        self,
        agenda: Due,
        prober: Prober,
        judge: Judge,
        *,
        limit: int,
        probe_timeout: float,
        monotonic: Callable[[], float],
    ) -> None:
        self._agenda = agenda
        self._prober = prober
        self._judge = judge
        self.limit = limit
        self._probe_timeout = probe_timeout
        self._monotonic = monotonic
        self._loop = asyncio.get_running_loop()
        self._lanes: list[Lane] = []
        self._idle: list[asyncio.Future[None]] = []
        self._busy = 0
        self._ended = False
        self._quiet = asyncio.Event()
        self._check = self._loop.call_later(probe_timeout / _CHECKS_PER_TIMEOUT, self._end_overdue)

    @property
    def busy(self) -> int:
        """How many lanes are not idle."""
        return self._busy

    def __len__(self) -> int:
        return len(self._lanes)

    def begin(self, wanted: int) -> int:
        """Set so many lanes to work on what is due, idle ones first; returns how many could be."""
        for begun in range(wanted):
            if self._idle:
                self._busy += 1
                self._idle.pop().set_result(None)
            elif len(self._lanes) < self.limit:
                self._start()
            else:
                return begun
        return wanted

    async def all_judged(self) -> None:
        """Returns when every game that was taken is judged."""
        while self._busy:
            self._quiet.clear()
            await self._quiet.wait()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._end()

    def _start(self) -> None:
        lane = Lane()
        lane.task = self._loop.create_task(self._run(lane))
        self._lanes.append(lane)
        self._busy += 1

    async def _run(self, lane: Lane) -> None:
        take, probe, judge, monotonic = self._agenda.take, self._prober.probe, self._judge, self._monotonic
        while not self._ended:
            lane.started = started = monotonic()
            lane.game = game = take(started)
            if game is None:
                await self._rest()
                continue
            try:
                outcome = await probe(game.target)
            except asyncio.CancelledError:
                outcome = self._cut_short(lane)
            except Exception as error:  # noqa: BLE001  a fault of one prober is contained
                outcome = Inconclusive(f"a fault of the prober's own: {type(error).__name__}: {error}")
            lane.game = None
            if not self._ended:
                judge(game, outcome, started)

    async def _rest(self) -> None:
        """Wait until there is something due, or the end."""
        self._busy -= 1
        if not self._busy:
            self._quiet.set()
        idle: asyncio.Future[None] = self._loop.create_future()
        self._idle.append(idle)
        await idle

    def _cut_short(self, lane: Lane) -> ProbeOutcome:
        """What a cancelled probe gave. Raises CancelledError where the lane itself is to end."""
        overdue, lane.overdue = lane.overdue, False
        if overdue:
            lane.task.uncancel()
        raise_if_cancelled()
        if overdue and lane.game is not None:
            timeout = lane.game.target.timeout
            return Failed(0, f"timed out after {timeout:g}s without an answer of the prober", FailureKind.TIMEOUT)
        return Inconclusive("a fault of the prober's own: it cancelled itself")

    def _end_overdue(self) -> None:
        latest = self._monotonic() - 2 * DEADLINE_SLACK
        for lane in self._lanes:
            game = lane.game
            if game is not None and lane.started < latest - game.target.timeout and not lane.overdue:
                lane.overdue = True
                lane.task.cancel()
        self._check = self._loop.call_later(self._probe_timeout / _CHECKS_PER_TIMEOUT, self._end_overdue)

    async def _end(self) -> None:
        """End every lane. A probe that is cut short here has no outcome, whatever its prober makes of that."""
        self._ended = True
        self._check.cancel()
        for idle in self._idle:
            if not idle.done():
                idle.set_result(None)
        self._idle.clear()
        tasks = [lane.task for lane in self._lanes]
        for lane in self._lanes:
            if lane.game is not None:
                lane.task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
