"""The status of a run: what the page, the API, the metrics and the terminal show of it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from typing import Protocol

from healthprobe._util.aio import cooperative_iter
from healthprobe.domain.alarms.silence import Silence, SilenceIndex, silence_of_record
from healthprobe.domain.cluster import Instance
from healthprobe.domain.endpoint import Endpoint
from healthprobe.domain.fleet_status import Condition, Diagnosis, Outage, Unknown, WatchedShards, diagnose
from healthprobe.domain.hysteresis import Standing
from healthprobe.ports import HealthEventLog, LogError
from healthprobe.status.cells import Cells, Delta
from healthprobe.status.histories import Histories
from healthprobe.status.incidents import Incidents
from healthprobe.status.label_counts import LabelCounts
from healthprobe.status.past_incidents import PastIncidents
from healthprobe.status.trouble import trouble_of
from healthprobe.worker.config import WorkerConfig
from healthprobe.worker.target_set import TargetSet, WatchedGame
from healthprobe.worker.worker_status import WorkerStatus

REFRESH_INTERVAL = 1.0
"""Seconds between two refreshes while a stream is open."""

_IDLE_REFRESH_INTERVAL = 15.0
_FRESH_FOR = 0.25
_DELTAS_KEPT = 120


class Connections(Protocol):
    """The prober's connections: how many are open, and how many may be."""

    @property
    def open_connections(self) -> int: ...

    @property
    def capacity(self) -> int: ...


class Cluster(Protocol):
    """The instances that share the fleet, as this instance knows them.

    `silent_for` is the number of seconds since it last heard of the others.
    """

    @property
    def shard_count(self) -> int: ...

    @property
    def instances(self) -> Sequence[Instance]: ...

    @property
    def silent_for(self) -> float: ...


class Silences(Protocol):
    """The silences that the log keeps; those in force are the same object while nothing changes."""

    @property
    def in_force(self) -> tuple[Silence, ...]: ...


class RunStatus:
    """The live status of one run. `monotonic` measures ages, `clock` gives the wall time that is shown.

    `cells` and `incidents` are as old as the last `refresh`; `worker` and `counters` are always current.
    """

    def __init__(
        self,
        *,
        config: WorkerConfig,
        worker: WorkerStatus,
        log: HealthEventLog,
        counters: Histories,
        connections: Connections,
        cluster: Cluster | None = None,
        silences: Silences | None = None,
        metric_label: str | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.config = config
        self.worker = worker
        self.log = log
        self.counters = counters
        self.connections = connections
        self.cluster = cluster
        self._silences = silences
        self.cells = Cells(counters)
        self.label_counts = None if metric_label is None else LabelCounts(metric_label)
        self.incidents = Incidents(log)
        self.past_incidents = PastIncidents(log)
        self.clock = clock
        self.started_at = clock()
        self._monotonic = monotonic
        self._refreshed_at = float("-inf")
        self._refresh_lock = asyncio.Lock()
        self._deltas: deque[Delta] = deque(maxlen=_DELTAS_KEPT)
        self._refreshed = asyncio.Condition()
        self._watchers = 0
        self._watcher_joined = asyncio.Event()
        self._silenced_of: tuple[TargetSet, tuple[Silence, ...]] | None = None
        self._silenced_until: list[datetime] = []
        self._index = SilenceIndex()
        self._indexed: tuple[Silence, ...] = ()

    async def run(self) -> None:
        """Refreshes once a second while a stream is open, and every 15 seconds otherwise, until cancelled."""
        while True:
            await self.refresh()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(REFRESH_INTERVAL if self._watchers else _IDLE_REFRESH_INTERVAL):
                    await self._watcher_joined.wait()
            if self._watcher_joined.is_set():
                self._watcher_joined.clear()
                is_recent = self._monotonic() - self._refreshed_at < REFRESH_INTERVAL
                await asyncio.sleep(REFRESH_INTERVAL if is_recent else 0)

    async def refresh(self) -> None:
        """Updates cells and incidents, unless that was done in the last quarter of a second."""
        async with self._refresh_lock:
            if self._monotonic() - self._refreshed_at < _FRESH_FOR:
                return
            unknown = await self.worker.unknown_games()
            if delta := await self.cells.update(self.worker.target_set, self.worker.states, unknown):
                self._deltas.append(delta)  # before the next await: no stream may see a version without its delta
            if self.label_counts is not None:
                await self.label_counts.update(self.cells)
            await self._count_silenced()
            await self._follow_log()
            self._refreshed_at = self._monotonic()
        async with self._refreshed:
            self._refreshed.notify_all()

    async def deltas(self, after: int) -> AsyncIterator[Delta | None]:
        """Yields each change of the cells after version `after`, and None for each refresh without a change.

        Ends when the changes after that version are no longer kept: all cells must then be read again.
        """
        self._watchers += 1
        self._watcher_joined.set()
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
                async with self._refreshed:
                    await self._refreshed.wait()
        finally:
            self._watchers -= 1

    @property
    def outages(self) -> list[Outage]:
        """The games that are down, the longest incident first."""
        now = self.clock()
        outages = []
        for game, host in self.cells.in_condition(Condition.DOWN):
            failed = self.incidents.open.get(game.game_id)
            seconds = None if failed is None else max((now - failed.occurred_at).total_seconds(), 0.0)
            outages.append(Outage(game.game_id, host, seconds))
        return sorted(outages, key=lambda outage: -(outage.seconds or 0.0))

    @property
    def unknown(self) -> Unknown:
        """The games of which nothing is known, at the last refresh."""
        count = self.cells.count_of(Condition.UNKNOWN)
        for game_id, _, _, cause in self.unknown_games(1):
            return Unknown(count, game_id, cause)
        return Unknown(count)

    def unknown_games(self, most: int) -> list[tuple[str, str, float, str]]:
        """Returns games of which nothing is known although they were probed, at most `most`, by slot.

        Of each its id, its host, for how many seconds that has been so, and why.
        """
        found: list[tuple[str, str, float, str]] = []
        for game, host in self.cells.in_condition(Condition.UNKNOWN):
            if len(found) == most:
                break
            known = self.worker.unobserved(game.game_id)
            if known is not None and known[1]:
                found.append((game.game_id, host, *known))
        return found

    @property
    def trouble(self) -> str | None:
        """What is wrong with the prober itself, with the words of the log, or None."""
        trouble = trouble_of(self.worker, self.config)
        return None if trouble is None else str(trouble)

    @property
    def public_trouble(self) -> str | None:
        """The same without the words of the log, which may name a server, a file or a game."""
        trouble = trouble_of(self.worker, self.config)
        return None if trouble is None else trouble.what

    def diagnosis(self, outages: Sequence[Outage] | None = None) -> Diagnosis:
        """The state of the fleet in one sentence. A caller that has `outages` already passes them."""
        target_set = self.worker.target_set
        return diagnose(
            len(self.cells),
            self.cells.on_host,
            self.outages if outages is None else outages,
            self.trouble,
            failing=self.cells.count_of(Condition.FAILING),
            unknown=self.unknown,
            watched=None
            if target_set.shards is None
            else WatchedShards(len(target_set.shards), target_set.shard_count),
        )

    @property
    def silences(self) -> tuple[Silence, ...]:
        """The silences of the log that are in force, those that end first at first."""
        return () if self._silences is None else self._silences.in_force

    def silence_of(self, game: WatchedGame) -> Silence | None:
        """Returns the silence of a game that ends last, of those of the log and the one of its record; or None."""
        if self.silences is not self._indexed:
            self._indexed = self.silences
            self._index = SilenceIndex(self._indexed)
        now, own = self.clock(), silence_of_record(game.record)
        endpoint = game.target.endpoint
        host = endpoint.host if isinstance(endpoint, Endpoint) else ""
        found = self._index.find(now, game.game_id, host, game.record.labels)
        if own is None or own.ends_at <= now or (found is not None and found.ends_at >= own.ends_at):
            return found
        return own

    def silenced_until(self, game_id: str) -> datetime | None:
        """Returns until when a game is silenced; None if it is not, or not watched here."""
        slot = self.cells.slot_of(game_id)
        game = None if slot is None else self.cells.games[slot]
        silence = None if game is None else self.silence_of(game)
        return None if silence is None else silence.ends_at

    @property
    def silenced(self) -> int:
        """The number of games that are silenced now, of those at the last refresh."""
        now = self.clock()
        return sum(now < until for until in self._silenced_until)

    async def _count_silenced(self) -> None:
        """Finds the games that are silenced, if games or silences have changed. Lets other tasks run."""
        target_set, silences = self.worker.target_set, self.silences
        if self._silenced_of is not None and self._silenced_of[0] is target_set and self._silenced_of[1] is silences:
            return
        games = target_set.games
        if not silences:
            games = [game for game in games if game.record.silenced_until is not None]
        found = [silence.ends_at async for game in cooperative_iter(games) if (silence := self.silence_of(game))]
        self._silenced_of, self._silenced_until = (target_set, silences), found

    async def _follow_log(self) -> None:
        """Reads what is new in the log. While the log is unavailable, what was read before stays in place."""
        with contextlib.suppress(LogError, TimeoutError):
            async with asyncio.timeout(REFRESH_INTERVAL):
                await self.incidents.catch_up()
                states = self.worker.states
                await self.incidents.look_up(
                    [game_id for game_id, state in states.items() if state.standing is Standing.OPEN]
                )
                gone = await self.worker.gone_games(self.incidents.open)
                await self.incidents.end(gone, self.clock())
                still_gone = await self.worker.gone_games(self.incidents.gone)
                self.incidents.resume(self.incidents.gone.keys() - still_gone)
