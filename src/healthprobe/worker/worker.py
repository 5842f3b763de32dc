"""The worker: a tick every interval. List, prune, probe in lanes, decide, commit."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from structlog.typing import FilteringBoundLogger

from healthprobe._util.aio import background_tasks
from healthprobe.domain.schedule import next_tick
from healthprobe.domain.shard import SHARDS
from healthprobe.domain.target import ProbeTarget
from healthprobe.ports import HealthEventLog, Prober, RuntimeRecordStore, ShardLeases, Telemetry
from healthprobe.worker.config import Terms, WorkerConfig, require
from healthprobe.worker.discovery import Changes, Listing, Takeover, Watchlist
from healthprobe.worker.event_writer import Appender, Committer
from healthprobe.worker.extra_probes import Newcomers
from healthprobe.worker.game_states import Ledger
from healthprobe.worker.safe_logging import NullTelemetry, SafeLogger, SafeTelemetry
from healthprobe.worker.target_set import TargetSet, TargetSetChange
from healthprobe.worker.tick import Rounds, Watch, Width
from healthprobe.worker.verdict import Verdicts
from healthprobe.worker.worker_status import View

_PATIENCE_SHARE = 0.25
"""How much of an interval a tick waits for a store or a log that does not answer."""

_LAST_OFFER_SECONDS = 1.0


def utc_now() -> datetime:
    return datetime.now(UTC)


class Worker:
    """Watches the running games of a store and writes each transition to a log, exactly once.

    `interval` and `probe_timeout` are seconds, `failures_threshold` a count, `max_concurrency` the most probes in
    flight: a number, or AutoLanes for as many as a tick can need. `policy` is what is asked of outcomes besides, and
    where none of the `canaries` answers no failure counts. With `shards` it watches the games of those that are its own
    at the time, and no others. `clock` tells wall time, for `occurred_at` alone; `monotonic` tells seconds, for all
    durations. `on_commit` is called after the log took events, `on_sight` with whether this worker sees when that has
    changed. `view` is what may be seen of it. Raises ConfigurationError for a missing collaborator and for numbers that
    are not positive.
    """

    def __init__(
        self,
        *,
        records: RuntimeRecordStore,
        log: HealthEventLog,
        prober: Prober,
        telemetry: Telemetry | None = None,
        config: WorkerConfig | None = None,
        canaries: Sequence[ProbeTarget] = (),
        shards: ShardLeases | None = None,
        clock: Callable[[], datetime] = utc_now,
        monotonic: Callable[[], float] = time.monotonic,
        logger: FilteringBoundLogger | None = None,
        on_commit: Callable[[], None] | None = None,
        on_sight: Callable[[bool], None] | None = None,
    ) -> None:
        require(records=records, log=log, prober=prober)
        config = config or WorkerConfig()
        interval, probe_timeout, max_concurrency = config.interval, config.probe_timeout, config.max_concurrency
        self.config = config
        self._logger = SafeLogger(logger)
        self._terms = terms = Terms(
            interval=interval,
            probe_timeout=probe_timeout,
            failures_threshold=config.failures_threshold,
            policy=config.policy,
            clock=clock,
            monotonic=monotonic,
            logger=self._logger,
        )
        self._prober = prober
        telemetry = NullTelemetry() if telemetry is None else telemetry  # an empty Histories is false
        self._telemetry = SafeTelemetry(telemetry, self._logger)
        self._max_concurrency = max_concurrency
        self._monotonic = monotonic
        patience = interval * _PATIENCE_SHARE
        width = Width(max_concurrency)
        ledger = Ledger()
        appender = Appender(ledger, log, self._telemetry, self._logger, on_commit=on_commit, monotonic=monotonic)
        self._committer = Committer(ledger, log, appender, self._logger, monotonic=monotonic, shards=shards)
        self._verdicts = Verdicts(
            terms,
            ledger,
            prober=prober,
            telemetry=telemetry,
            canaries=canaries,
            shards=shards,
            target_set=lambda: takeover.target_set,
            lane_limit=width.limit,
            on_decision=self._committer.wake,
            on_sight=on_sight,
        )
        takeover = Takeover(
            TargetSet(
                terms.window,
                probe_timeout,
                terms.thresholds,
                interval,
                SHARDS if shards is None else shards.shard_count,
            ),
            ledger,
            welcome=self._verdicts.grace.begin,
            forget=self._forget,
            dismiss=self._verdicts.judgement.dismiss,
            logger=self._logger,
        )
        listing = Listing(records, self._telemetry, self._logger, patience=patience)
        self._watchlist = width.watchlist = Watchlist(listing, takeover, shards, monotonic)
        self._newcomers = Newcomers(
            prober, self._verdicts.weigh_beside, interval=interval, probe_timeout=probe_timeout, monotonic=monotonic
        )
        self._changes = Changes(
            self._watchlist,
            self._committer,
            self._go_on_with,
            self._verdicts.tell_of,
            patience=patience,
            monotonic=monotonic,
        )
        watch = Watch()
        self._rounds = Rounds(
            terms,
            prober,
            watchlist=self._watchlist,
            committer=self._committer,
            verdicts=self._verdicts,
            width=width,
            watch=watch,
            patience=patience,
            stays_open=shards is not None,
        )
        self.view = View(
            self._watchlist,
            ledger,
            committer=self._committer,
            verdicts=self._verdicts,
            watch=watch,
            monotonic=monotonic,
            shards=shards,
        )
        if shards is not None:
            shards.on_change(self._changes.tell_of_move)
            shards.before_release(self._committer.hand_over)

    @property
    def games(self) -> int:
        """How many games it watches now."""
        return len(self._watchlist.target_set)

    def refresh(self) -> None:
        """The list, or the shards, have changed: `run` takes that over at once, not when the next tick begins."""
        self._changes.set()

    async def run(self) -> None:
        """A tick every interval, the first at once, until cancelled.

        What is in flight then has no outcome; what is decided is offered to the log once more, for a second at most.
        """
        self._logger.info(
            "health probe worker started",
            interval=f"{self._terms.interval:g}s",
            probe_timeout=f"{self._terms.probe_timeout:g}s",
            failures_threshold=self._terms.failures_threshold,
            max_concurrency=self._max_concurrency if isinstance(self._max_concurrency, int) else "auto",
        )
        async with (
            background_tasks(self._committer.run(), self._newcomers.run(), self._changes.run()),
            self._verdicts.running(),
        ):
            try:
                with self._verdicts.stalls.watching():
                    await self._tick_for_ever()
            finally:
                await self._watchlist.aclose()
                await self._committer.aclose(_LAST_OFFER_SECONDS)
                self._logger.info("health probe worker stopped")

    async def tick(self) -> None:
        """One pass over all running games, all due at once.

        Returns when every probe is judged and every transition was offered to the log: taken, or waiting while it is
        away. A tick that would overlap another is dropped.
        """
        began = self._monotonic()
        if self._rounds.is_under_way:
            self._telemetry.record_tick(self.games, 0.0, 1)
            return
        await self._rounds.one(began, spread=False)
        await self._verdicts.settle()
        await self._committer.offer()
        self._telemetry.record_tick(self.games, self._monotonic() - began, 0)

    async def _tick_for_ever(self) -> None:
        origin = self._monotonic()
        number = 0
        while True:
            began = origin + number * self._terms.interval
            try:
                await self._rounds.one(began, spread=True)
            except Exception as error:  # noqa: BLE001  a tick that breaks must not end the watch
                self._verdicts.tell_of(error)
            now = self._monotonic()
            number, dropped = next_tick(number, now - origin, self._terms.interval)
            self._telemetry.record_tick(self.games, now - began, dropped)
            await asyncio.sleep(max(origin + number * self._terms.interval - now, 0.0))

    async def _go_on_with(self, change: TargetSetChange) -> None:
        await self._rounds.go_on(change)
        if change.newcomers:
            self._newcomers.call(change.newcomers)
        self._committer.wake()

    def _forget(self, target: ProbeTarget) -> None:
        try:
            self._prober.forget(target)
        except Exception as error:  # noqa: BLE001  the prober's own; it keeps what it will not let go of
            self._verdicts.tell_of(error)
