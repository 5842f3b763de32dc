"""The worker: every interval, list the running games, probe them, decide transitions and write them to the log."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from datetime import datetime

from healthprobe._util.aio import AutoResetEvent, background_tasks
from healthprobe._util.safe_logging import Logger, RateLimitedWarning, SafeLogger
from healthprobe.domain.event import HealthEvent, ProbeEndedDetails
from healthprobe.domain.hysteresis import Transition
from healthprobe.domain.shard import SHARDS
from healthprobe.domain.target import ProbeTarget
from healthprobe.ports import Prober, RuntimeRecordStore, ShardLeases, Telemetry, WorkerLog
from healthprobe.worker.canaries import Canaries
from healthprobe.worker.config import WORKER_KEY, Clock, WorkerConfig, require, utc_now
from healthprobe.worker.discovery import Discovery
from healthprobe.worker.event_writer import EventWriter
from healthprobe.worker.extra_probes import Confirmations, Newcomers
from healthprobe.worker.game_states import GameStates
from healthprobe.worker.lanes import ExtraProbes
from healthprobe.worker.observations import Observations
from healthprobe.worker.safe_telemetry import NullTelemetry, SafeTelemetry
from healthprobe.worker.stall_detector import StallDetector
from healthprobe.worker.suppression import Suppression
from healthprobe.worker.target_set import Targets, TargetSet
from healthprobe.worker.tick import Ticker
from healthprobe.worker.verdict import Verdict
from healthprobe.worker.worker_status import WorkerStatus

_LAST_WRITE_SECONDS = 1.0
"""How long the log has, when a run ends, to take what is decided."""

_RESTART_PAUSE = 1.0
"""Seconds until a background task that failed is started again."""

_BETWEEN_UPDATES = 0.1
"""The least time, in seconds, between two updates of the targets in the middle of a tick."""

_REST_FACTOR = 4.0
"""The pause after such an update, in times of its duration: where games start all the time, a long list is read once a
second and not a hundred times."""

_NEWCOMERS_WAIT = 0.5
"""The longest time, in seconds, that new games wait for the log before their first probe: nothing is decided before it
has answered."""

NEWCOMER_LANES = 64
"""The most new games that are probed at the same time."""


class Worker:
    """Watches the running games of a store and writes each transition to a log, exactly once.

    With `canaries` no failure counts unless one of them answers. With `shards` only the games of those that are ours
    are watched. `clock` returns wall time in UTC, for `occurred_at` alone; `monotonic` returns seconds, for durations.
    `on_commit` is called after the log took events.
    `status` is what can be read of the worker. Raises ConfigurationError for a collaborator that is missing.
    """

    def __init__(
        self,
        *,
        records: RuntimeRecordStore,
        log: WorkerLog,
        prober: Prober,
        telemetry: Telemetry | None = None,
        config: WorkerConfig | None = None,
        canaries: Sequence[ProbeTarget] = (),
        shards: ShardLeases | None = None,
        clock: Callable[[], datetime] = utc_now,
        monotonic: Callable[[], float] = time.monotonic,
        logger: Logger | None = None,
        on_commit: Callable[[], None] | None = None,
    ) -> None:
        require(records=records, log=log, prober=prober)
        self.config = config = config or WorkerConfig()
        self._clock = times = Clock(clock, monotonic)
        self._logger = lines = SafeLogger(logger, worker=WORKER_KEY)
        self._errors = errors = RateLimitedWarning(lines, "internal error, going on", monotonic)
        telemetry = NullTelemetry() if telemetry is None else telemetry  # an empty Histories is false
        self._telemetry = counts = SafeTelemetry(telemetry, lines)

        shard_count = SHARDS if shards is None else shards.shard_count
        targets = Targets(
            TargetSet(
                config.window, config.probe_timeout, config.thresholds, config.interval, shard_count, probe=config.probe
            )
        )
        self._states = states = GameStates()
        self._suppression = Suppression(config, targets, states, times, lines)
        observations = Observations(targets, config.interval, monotonic)
        self._event_writer = EventWriter(
            log, states, shards=shards, telemetry=counts, clock=times, logger=lines, on_commit=on_commit
        )
        self._discovery = Discovery(
            records,
            config,
            targets,
            states,
            self._suppression,
            observations=observations,
            prober=prober,
            shards=shards,
            telemetry=counts,
            clock=times,
            logger=lines,
            errors=errors,
        )
        self._stalls = StallDetector(config.probe_timeout, monotonic)
        watched_canaries = Canaries(canaries, prober, times, lines, shards)
        confirmations = None if config.policy.confirm is None else Confirmations(config, config.policy.confirm)
        self._verdict = verdict = Verdict(
            config,
            targets,
            states,
            self._suppression,
            watched_canaries,
            stalls=self._stalls,
            observations=observations,
            confirmations=confirmations,
            shards=shards,
            record_probe=telemetry.record_probe,
            clock=times,
            logger=lines,
            errors=errors,
        )
        self._newcomers = Newcomers(config.interval)
        self._newcomer_probes = ExtraProbes(
            self._newcomers, config, targets, prober, verdict, monotonic=monotonic, limit=NEWCOMER_LANES
        )
        self._confirmation_probes = (
            None
            if confirmations is None
            else ExtraProbes(confirmations, config, targets, prober, verdict, monotonic=monotonic)
        )
        self._ticker = Ticker(
            config,
            self._discovery,
            self._event_writer,
            verdict,
            prober=prober,
            canaries=watched_canaries,
            stalls=self._stalls,
            shards=shards,
            telemetry=counts,
            clock=times,
            errors=errors,
        )
        self.status = WorkerStatus(
            targets,
            states,
            self._suppression,
            watched_canaries,
            self._event_writer,
            discovery=self._discovery,
            ticker=self._ticker,
            observations=observations,
            listings=self._discovery.listings,
            interval=config.interval,
            clock=times,
            shards=shards,
        )
        self._records_changed = AutoResetEvent()
        self._shards_changed = AutoResetEvent()
        if shards is not None:
            shards.on_change(self._refresh_shards)
            shards.before_release(self._event_writer.hand_over)

    @property
    def games(self) -> int:
        """How many games are watched now."""
        return len(self._discovery.target_set)

    def refresh(self) -> None:
        """The records have changed: `run` lists them at once, and not when the next tick begins."""
        self._records_changed.set()

    def end_incidents(self, open_incidents: Iterable[HealthEvent]) -> None:
        """Records a `probe_ended` after each of these last events of games that no longer run.

        A game that is listed, or of which something waits for the log, is left as it is.
        """
        for last in open_incidents:
            game_id = last.game_id
            states = self._states
            if game_id in self._discovery.target_set.by_id or game_id in states.waiting or game_id in states.set_aside:
                continue
            details = ProbeEndedDetails()
            ended = Transition(
                game_id, last.container_id, self._clock.wall(), details, follows=last.sequence, labels=last.labels
            )
            self._states.record(ended, None, self._clock.monotonic())

    def _refresh_shards(self) -> None:
        """Shards have come or gone. No instance watches their games until we do, so no rest is due before."""
        self._shards_changed.set()
        self._records_changed.set()

    async def run(self) -> None:
        """Runs a tick every interval, the first at once, until cancelled.

        A probe that is in flight then has no outcome. What is decided is offered to the log once more, for at most a
        second.
        """
        max_concurrency = self.config.max_concurrency
        self._logger.info(
            "health probe worker started",
            interval=f"{self.config.interval:g}s",
            probe_timeout=f"{self.config.probe_timeout:g}s",
            failures_threshold=self.config.failures_threshold,
            max_concurrency=max_concurrency if isinstance(max_concurrency, int) else "auto",
        )
        work = [
            self._event_writer.run,
            self._follow_changes,
            self._newcomer_probes.run,
            self._verdict.run,
            self._suppression.run,
            *(() if self._confirmation_probes is None else (self._confirmation_probes.run,)),
        ]
        async with background_tasks(*map(self._keep_running, work)):
            try:
                with self._stalls.running():
                    await self._ticker.run()
            finally:
                await self._discovery.aclose()
                await self._event_writer.aclose(_LAST_WRITE_SECONDS)
                self._logger.info("health probe worker stopped")

    async def tick(self) -> None:
        """Makes one pass over all running games, all due at once. May be called without `run`.

        Returns when every outcome is processed and every transition was offered to the log: taken, or waiting while it
        is unavailable. A tick that would overlap another is dropped.
        """
        began = self._clock.monotonic()
        if self._ticker.is_running:
            self._telemetry.record_tick(self.games, 0.0, 1)
            return
        await self._ticker.run_once(began, spread=False)
        await self._verdict.drain()
        if self._confirmation_probes is not None:
            while await self._confirmation_probes.drain():
                await self._verdict.drain()
        self._suppression.expire()
        await self._event_writer.write()
        self._telemetry.record_tick(self.games, self._clock.monotonic() - began, 0)

    async def _follow_changes(self) -> None:
        """Brings changes of the records and of the shards into force in the middle of a tick, until cancelled."""
        monotonic = self._clock.monotonic
        wait_for_log = min(self.config.call_patience, _NEWCOMERS_WAIT)
        while True:
            await self._records_changed.wait()
            began, log_took = monotonic(), 0.0
            try:
                change = await self._discovery.update()
                if change.newcomers:
                    asked_at = monotonic()
                    await self._event_writer.write_within(wait_for_log)
                    log_took = monotonic() - asked_at
                await self._ticker.apply(change)
                if change.newcomers:
                    self._newcomers.add(change.newcomers, monotonic())
            except Exception as error:  # noqa: BLE001  the next tick makes up for it
                self._errors.warn_of(error)
            rest = _REST_FACTOR * (monotonic() - began - log_took)
            await asyncio.sleep(_BETWEEN_UPDATES)
            await self._shards_changed.wait_at_most(rest)

    async def _keep_running(self, work: Callable[[], Coroutine[None, None, None]]) -> None:
        """Starts `work` again if it fails: an error in the background must not leave failures undecided for ever."""
        while True:
            try:
                return await work()
            except Exception as error:  # noqa: BLE001  logged, and tried again
                self._errors.warn_of(error)
            await asyncio.sleep(_RESTART_PAUSE)
