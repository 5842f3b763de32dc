"""The sight of a run: what page, API, metrics and terminal show of it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from typing import Protocol

from healthprobe._util.duration import two_units
from healthprobe.domain.cluster import Instance
from healthprobe.domain.fleet_status import Condition, Diagnosis, Outage, WatchedShards, diagnose
from healthprobe.domain.hysteresis import Standing
from healthprobe.domain.shard import shard_of
from healthprobe.ports import HealthEventLog, LogError
from healthprobe.status.cells import Cells, Delta
from healthprobe.status.histories import Histories
from healthprobe.status.incidents import Incidents
from healthprobe.worker.config import WorkerConfig
from healthprobe.worker.target_set import TargetSet
from healthprobe.worker.worker_status import WorkerStatus

MOST_LATE = 2
"""How many intervals a tick may be late until this prober counts as stuck."""

MOST_LOG_AWAY = 60.0
"""For how many seconds the log may be away until this prober counts as stuck."""

REFRESH = 1.0
"""Seconds between two looks while somebody watches."""

_NOBODY_WATCHES = 15.0
_FRESH = 0.25
_DELTAS = 120


class Connections(Protocol):
    """The prober's connections: how many are open, and how many may be."""

    @property
    def open_connections(self) -> int: ...

    @property
    def capacity(self) -> int: ...


class Cluster(Protocol):
    """The instances that share the fleet over `shard_count` shards, as this one knows them.

    `silent_for` is for how many seconds it has heard of none.
    """

    @property
    def shard_count(self) -> int: ...

    @property
    def instances(self) -> Sequence[Instance]: ...

    @property
    def silent_for(self) -> float: ...


class RunStatus:
    """Looks at a run when somebody asks, or watches. `monotonic` tells seconds, `clock` wall time for what is shown.

    Everything is as old as the last `refresh`, but for `view`, which is as things are.
    """

    def __init__(
        self,
        *,
        config: WorkerConfig,
        view: WorkerStatus,
        log: HealthEventLog,
        histories: Histories,
        connections: Connections,
        cluster: Cluster | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.config = config
        self.view = view
        self.log = log
        self.tally = histories
        self.connections = connections
        self.cluster = cluster
        self.cells = Cells(histories)
        self.incidents = Incidents(log)
        self.clock = clock
        self.started_at = clock()
        self._monotonic = monotonic
        self._refreshed_at = float("-inf")
        self._one_at_a_time = asyncio.Lock()
        self._deltas: deque[Delta] = deque(maxlen=_DELTAS)
        self._changed = asyncio.Condition()
        self._watchers = 0
        self._watched = asyncio.Event()
        self._log_trouble = False
        self._roster_read: TargetSet | None = None
        self._silences: list[datetime] = []

    async def run(self) -> None:
        """Refresh once a second while somebody watches, and now and then else, until cancelled."""
        while True:
            await self.refresh()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(REFRESH if self._watchers else _NOBODY_WATCHES):
                    await self._watched.wait()
            if self._watched.is_set():
                self._watched.clear()
                await asyncio.sleep(REFRESH if self._monotonic() - self._refreshed_at < REFRESH else 0)

    async def refresh(self) -> None:
        """Look anew, unless that was done a moment ago."""
        async with self._one_at_a_time:
            if self._monotonic() - self._refreshed_at < _FRESH:
                return
            if delta := await self.cells.update(self.view.target_set, self.view.states):
                self._deltas.append(delta)  # at once: who watches must never meet a version without its delta
            await self._follow_log()
            self._refreshed_at = self._monotonic()
        async with self._changed:
            self._changed.notify_all()

    async def deltas(self, after: int) -> AsyncIterator[Delta | None]:
        """What changes in the cells after version `after`, as it does; None once a refresh where nothing has changed.

        Ends where that is longer ago than is remembered: then all cells are to be read again.
        """
        self._watchers += 1
        self._watched.set()
        try:
            while True:
                new = [delta for delta in self._deltas if delta.version > after]
                if after < self.cells.version and (not new or new[0].version != after + 1):
                    return
                for delta in new:
                    after = delta.version
                    yield delta
                if not new:
                    yield None
                async with self._changed:
                    await self._changed.wait()
        finally:
            self._watchers -= 1

    @property
    def outages(self) -> list[Outage]:
        """The games that are down, those in an incident the longest first."""
        now = self.clock()
        outages = []
        for game, host in self.cells.in_condition(Condition.DOWN):
            failed = self.incidents.open.get(game.game_id)
            seconds = None if failed is None else max((now - failed.occurred_at).total_seconds(), 0.0)
            outages.append(Outage(game.game_id, host, seconds))
        return sorted(outages, key=lambda outage: -(outage.seconds or 0.0))

    @property
    def trouble(self) -> str | None:
        """What is the matter with the prober itself, or None."""
        late = self.view.tick_overdue_for
        if late > MOST_LATE * self.config.interval:
            return f"its tick is late by {two_units(late)}"
        blind = self.view.blind_for
        if blind:
            return f"no canary answers for {two_units(blind)}, so it sees nothing, and no failure counts"
        unled = self.view.shards_away_for
        if unled:
            return f"its cluster is away for {two_units(unled)}, so it has no shards and watches nothing"
        away = self.view.log_away_for
        if away > MOST_LOG_AWAY:
            waiting = len(self.view.waiting)
            what = "1 transition waits" if waiting == 1 else f"{waiting:,} transitions wait"
            return f"its log is away for {two_units(away)}, and {what} for it"
        return None

    def diagnosis(self, outages: Sequence[Outage] | None = None) -> Diagnosis:
        """What is the matter with the fleet, in a sentence; `outages` spares looking for them again."""
        target_set = self.view.target_set
        return diagnose(
            len(self.cells),
            self.cells.on_host,
            self.outages if outages is None else outages,
            self.trouble,
            failing=self.count_of(Condition.FAILING),
            unknown=self.count_of(Condition.UNKNOWN),
            watched=None
            if target_set.shards is None
            else WatchedShards(len(target_set.shards), target_set.shard_count),
        )

    def count_of(self, condition: Condition) -> int:
        return self.cells.count_of(condition)

    @property
    def silenced(self) -> int:
        """How many games are silenced now. The target_set is read when it changes, and not at each question."""
        target_set = self.view.target_set
        if target_set is not self._roster_read:
            self._roster_read = target_set
            self._silences = [until for game in target_set.games if (until := game.record.silenced_until) is not None]
        now = self.clock()
        return sum(now < until for until in self._silences)

    async def _follow_log(self) -> None:
        """A log that is away is told of elsewhere; what was read of it before is still shown."""
        with contextlib.suppress(LogError, TimeoutError):
            async with asyncio.timeout(REFRESH):
                await self.incidents.catch_up()
                states = self.view.states
                await self.incidents.look_up(
                    [game_id for game_id, state in states.items() if state.standing is Standing.OPEN]
                )
        self.incidents.let_go([game_id for game_id in self.incidents.open if self._has_gone(game_id)])

    def _has_gone(self, game_id: str) -> bool:
        """Whether nobody watches the game any more, as far as we know: of other instances' games we do not."""
        target_set = self.view.target_set
        is_ours = target_set.shards is None or shard_of(game_id, target_set.shard_count) in target_set.shards
        return is_ours and game_id not in target_set.by_id
