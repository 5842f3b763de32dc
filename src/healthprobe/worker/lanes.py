"""Lanes: coroutines that each take the next due game, probe it, and take the next; and the lanes of extra probes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol, Self

from healthprobe._util.aio import AutoResetEvent, raise_if_cancelled
from healthprobe.domain.outcome import Failed, FailureKind, Inconclusive, ProbeOutcome
from healthprobe.domain.schedule import DEADLINE_SLACK
from healthprobe.ports import Prober
from healthprobe.worker.config import WorkerConfig
from healthprobe.worker.target_set import Targets, WatchedGame
from healthprobe.worker.verdict import Verdict

GROUP = 32
"""The most probes begun in one turn of the loop. A longer turn would be a stall, and make outcomes inconclusive."""

PACE = 0.005
"""The least time, in seconds, between two looks at what is due: probes that start in small groups cost less."""

_CHECKS_PER_TIMEOUT = 4


class DueQueue(Protocol):
    """Where lanes take their games from. All times are monotonic seconds."""

    def take(self, now: float) -> WatchedGame | None:
        """Returns the next game that is due `now`, or None."""
        ...

    def due_at(self, game: WatchedGame, started: float) -> float:
        """Returns when the probe of `game` that began at `started` was due."""
        ...


class _IdleLanes:
    """The lanes that wait for a due game, and how many do not."""

    def __init__(self) -> None:
        self._waiting: list[asyncio.Future[None]] = []
        self._all_idle = asyncio.Event()
        self.busy = 0
        self.is_closed = False

    async def wait(self) -> None:
        """Called by a lane: returns when it is woken."""
        self.busy -= 1
        if not self.busy:
            self._all_idle.set()
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        await waiter

    def wake_one(self) -> bool:
        """Wakes a lane that waits; returns whether there was one."""
        if not self._waiting:
            return False
        self.busy += 1
        self._waiting.pop().set_result(None)
        return True

    async def all_idle(self) -> None:
        """Returns when every lane waits."""
        while self.busy:
            self._all_idle.clear()
            await self._all_idle.wait()

    def close(self) -> None:
        """Wakes every lane for the last time."""
        self.is_closed = True
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)
        self._waiting.clear()


class Lane:
    """One lane: the game in flight, when its probe began, and whether it was cancelled because it is overdue."""

    __slots__ = ("_idle", "_monotonic", "_prober", "_queue", "_verdict", "game", "is_overdue", "started", "task")

    task: asyncio.Task[None]

    def __init__(
        self, queue: DueQueue, prober: Prober, verdict: Verdict, idle: _IdleLanes, monotonic: Callable[[], float]
    ) -> None:
        self._queue = queue
        self._prober = prober
        self._verdict = verdict
        self._idle = idle
        self._monotonic = monotonic
        self.game: WatchedGame | None = None
        self.started = 0.0
        self.is_overdue = False

    async def run(self) -> None:
        """Takes the next due game, probes it, has its outcome processed, and takes the next."""
        take, due_at, monotonic = self._queue.take, self._queue.due_at, self._monotonic
        probe, process, idle = self._prober.probe, self._verdict.process, self._idle
        while not idle.is_closed:
            self.started = started = monotonic()
            self.game = game = take(started)
            if game is None:
                await idle.wait()
                continue
            try:
                outcome = await probe(game.target)
            except asyncio.CancelledError:
                outcome = self._cancelled(game)
            except Exception as error:  # noqa: BLE001  an error of the prober must not end the lane
                outcome = Inconclusive(f"the prober failed: {type(error).__name__}: {error}")
            self.game = None
            if not idle.is_closed:
                process(game, outcome, started, due_at(game, started))

    def cancel_if_overdue(self, now: float) -> None:
        """Cancels a probe that has not ended in its time: its prober did not keep the deadline."""
        game = self.game
        if game is not None and not self.is_overdue and now - self.started > game.target.timeout + 2 * DEADLINE_SLACK:
            self.is_overdue = True
            self.task.cancel()

    def _cancelled(self, game: WatchedGame) -> ProbeOutcome:
        """Returns the outcome of a cancelled probe. Raises CancelledError where the lane itself was cancelled."""
        was_overdue, self.is_overdue = self.is_overdue, False
        if was_overdue:
            self.task.uncancel()
        raise_if_cancelled()
        if was_overdue:
            timeout = game.target.timeout
            return Failed(0, f"timed out after {timeout:g}s without an answer of the prober", FailureKind.TIMEOUT)
        return Inconclusive("the prober failed: it cancelled itself")


class Lanes:
    """At most `limit` lanes over one queue, started when a due game finds none idle. `limit` may be changed.

    A probe costs no task. A prober that raises gives an inconclusive outcome, one that does not answer in time a
    failure; neither disturbs another game's probe. Leaving the block ends all lanes, and a probe that this cancels has
    no outcome.
    """

    def __init__(
        self,
        queue: DueQueue,
        prober: Prober,
        verdict: Verdict,
        *,
        limit: int,
        probe_timeout: float,
        monotonic: Callable[[], float],
    ) -> None:
        self._queue = queue
        self._prober = prober
        self._verdict = verdict
        self.limit = limit
        self._check_interval = probe_timeout / _CHECKS_PER_TIMEOUT
        self._monotonic = monotonic
        self._loop = asyncio.get_running_loop()
        self._lanes: list[Lane] = []
        self._idle = _IdleLanes()

    @property
    def busy(self) -> int:
        """How many lanes are not idle."""
        return self._idle.busy

    def begin(self, wanted: int) -> int:
        """Sets so many lanes to work on what is due, idle ones first. Returns how many there are."""
        for begun in range(wanted):
            if self._idle.wake_one():
                continue
            if len(self._lanes) >= self.limit:
                return begun
            lane = Lane(self._queue, self._prober, self._verdict, self._idle, self._monotonic)
            lane.task = self._loop.create_task(lane.run())
            self._lanes.append(lane)
            self._idle.busy += 1
        return wanted

    async def all_processed(self) -> None:
        """Returns when the outcome of every game that was taken is processed."""
        await self._idle.all_idle()

    async def __aenter__(self) -> Self:
        self._next_check = self._loop.call_later(self._check_interval, self._cancel_overdue)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._next_check.cancel()
        self._idle.close()
        for lane in self._lanes:
            if lane.game is not None:
                lane.task.cancel()
        await asyncio.gather(*(lane.task for lane in self._lanes), return_exceptions=True)

    def _cancel_overdue(self) -> None:
        now = self._monotonic()
        for lane in self._lanes:
            lane.cancel_if_overdue(now)
        self._next_check = self._loop.call_later(self._check_interval, self._cancel_overdue)


class ExtraQueue(DueQueue, Protocol):
    """A queue that games are added to at any time."""

    added: AutoResetEvent

    def __len__(self) -> int: ...

    def next_due(self, now: float) -> float | None:
        """Returns when the next game is due, or None where there is none."""
        ...

    def count_due(self, now: float, most: int) -> int:
        """Returns how many games are due, at most `most`."""
        ...


class ExtraProbes:
    """Probes the games of a queue as they fall due, between the ticks.

    At most `limit` probes are in flight, and where it is not given as many as a tick may have.
    """

    def __init__(
        self,
        queue: ExtraQueue,
        config: WorkerConfig,
        targets: Targets,
        prober: Prober,
        verdict: Verdict,
        *,
        monotonic: Callable[[], float],
        limit: int | None = None,
    ) -> None:
        self._queue = queue
        self._config = config
        self._targets = targets
        self._prober = prober
        self._verdict = verdict
        self._monotonic = monotonic
        self._limit = limit

    async def run(self) -> None:
        """Probes what falls due, until cancelled."""
        async with self._lanes() as lanes:
            while True:
                await self._step(lanes, self._targets.in_force.most_in_flight)

    async def drain(self) -> bool:
        """Probes until the queue is empty. Returns whether there was anything in it."""
        if not len(self._queue):
            return False
        async with self._lanes() as lanes:
            while len(self._queue):
                await self._step(lanes, len(self._targets.in_force))
                await lanes.all_processed()
        return True

    def _lanes(self) -> Lanes:
        timeout = self._config.probe_timeout
        return Lanes(
            self._queue, self._prober, self._verdict, limit=1, probe_timeout=timeout, monotonic=self._monotonic
        )

    async def _step(self, lanes: Lanes, most_in_flight: int) -> None:
        """Begins the probes that are due, or waits until one is."""
        now = self._monotonic()
        lanes.limit = self._limit or max(self._config.lane_limit(most_in_flight), 1)
        if due := self._queue.count_due(now, GROUP):
            lanes.begin(due)
            await asyncio.sleep(PACE)
        elif (next_due := self._queue.next_due(now)) is not None:
            await self._queue.added.wait_at_most(max(next_due - now, PACE))
        else:
            await self._queue.added.wait()
