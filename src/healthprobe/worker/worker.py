"""The worker: a tick every interval. List, prune, probe in lanes, decide, commit."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from math import isfinite

from structlog.typing import FilteringBoundLogger

from healthprobe.domain.outcome import HEALTHY, Failed, Inconclusive, ProbeOutcome
from healthprobe.domain.record import RuntimeRecord
from healthprobe.domain.schedule import AutoLanes, next_tick, spread_window
from healthprobe.domain.target import ProbeTarget
from healthprobe.ports import ConfigurationError, HealthEventLog, Prober, RuntimeRecordStore, Telemetry
from healthprobe.worker.agenda import Agenda
from healthprobe.worker.bystanders import Onlooker, Voice
from healthprobe.worker.commit import Committer
from healthprobe.worker.lanes import Lanes
from healthprobe.worker.ledger import Ledger
from healthprobe.worker.listing import Listing
from healthprobe.worker.once_a_minute import OnceAMinute
from healthprobe.worker.portions import in_portions
from healthprobe.worker.roster import Roster, WatchedGame
from healthprobe.worker.stall import StallWatch

DEFAULT_MAX_CONCURRENCY = 16
"""The most probes in flight where a caller gives no number (the reference's)."""

_PACE = 0.005
"""The least time, in seconds, between two looks at what is due: probes start in small groups, which costs less."""

_GROUP = 32
"""The most probes begun between two turns of the loop: when many are due at once, a turn must stay short, or the loop
would stall and its stall make their outcomes inconclusive."""

_PATIENCE_SHARE = 0.25
"""How much of an interval a tick waits for a store or a log that does not answer."""

_LAST_OFFER_SECONDS = 1.0

_STOOD_STILL = Inconclusive("the prober itself stood still")


def utc_now() -> datetime:
    return datetime.now(UTC)


class Worker:
    """Watches the running games of a store and writes each transition to a log, exactly once.

    `interval` and `probe_timeout` are seconds, `failures_threshold` a count, `max_concurrency` the most probes in
    flight: a number, or AutoLanes for as many as a tick can need. `clock` tells wall time, for `occurred_at` alone;
    `monotonic` tells seconds, for all durations. `on_commit` is called after the log took events. Raises
    ConfigurationError for a missing collaborator and for numbers that are not positive.
    """

    def __init__(
        self,
        *,
        records: RuntimeRecordStore,
        log: HealthEventLog,
        prober: Prober,
        telemetry: Telemetry,
        interval: float,
        probe_timeout: float,
        failures_threshold: int,
        max_concurrency: int | AutoLanes = DEFAULT_MAX_CONCURRENCY,
        clock: Callable[[], datetime] = utc_now,
        monotonic: Callable[[], float] = time.monotonic,
        logger: FilteringBoundLogger | None = None,
        on_commit: Callable[[], None] | None = None,
    ) -> None:
        _require(records=records, log=log, prober=prober, telemetry=telemetry)
        _require_positive(interval=interval, probe_timeout=probe_timeout, failures_threshold=failures_threshold)
        self._logger = Voice(logger)
        self._prober = prober
        self._record_probe = telemetry.record_probe
        self._telemetry = Onlooker(telemetry, self._logger)
        self._interval = interval
        self._probe_timeout = probe_timeout
        self._failures_threshold = failures_threshold
        self._max_concurrency = max_concurrency
        self._monotonic = monotonic
        self._listing = Listing(records, self._telemetry, self._logger, patience=interval * _PATIENCE_SHARE)
        self._patience = interval * _PATIENCE_SHARE
        self._roster = Roster(spread_window(interval, probe_timeout), probe_timeout)
        self._ledger = Ledger(failures_threshold, clock, self._logger)
        self._committer = Committer(self._ledger, log, self._telemetry, self._logger, on_commit)
        self._stall = StallWatch(probe_timeout, monotonic)
        self._inconclusive = OnceAMinute(self._logger, "probe inconclusive", monotonic)
        self._faults = OnceAMinute(self._logger, "judging an outcome failed", monotonic)
        self._ticking = False
        self._tick_began = 0.0
        self._spread = False

    async def run(self) -> None:
        """A tick every interval, the first at once, until cancelled.

        What is in flight then has no outcome; what is decided is offered to the log once more, for a second at most.
        """
        self._logger.info(
            "health probe worker started",
            interval=f"{self._interval:g}s",
            probe_timeout=f"{self._probe_timeout:g}s",
            failures_threshold=self._failures_threshold,
            max_concurrency=self._max_concurrency if isinstance(self._max_concurrency, int) else "auto",
        )
        committing = asyncio.create_task(self._committer.run())
        try:
            await self._tick_for_ever()
        finally:
            await self._listing.aclose()
            await self._committer.aclose(_LAST_OFFER_SECONDS)
            committing.cancel()
            await asyncio.gather(committing, return_exceptions=True)
            self._logger.info("health probe worker stopped")

    async def tick(self) -> None:
        """One pass over all running games, all due at once.

        Returns when every probe is judged and every transition was offered to the log: taken, or waiting while it is
        away. A tick that would overlap another is dropped.
        """
        began = self._monotonic()
        if self._ticking:
            self._telemetry.record_tick(len(self._roster), 0.0, 1)
            return
        await self._tick(began, spread=False)
        await self._committer.offer()
        self._telemetry.record_tick(len(self._roster), self._monotonic() - began, 0)

    async def _tick_for_ever(self) -> None:
        origin = self._monotonic()
        number = 0
        while True:
            began = origin + number * self._interval
            try:
                await self._tick(began, spread=True)
            except Exception as error:  # noqa: BLE001  a tick that breaks must not end the watch
                self._faults.tell(f"{type(error).__name__}: {error}")
            now = self._monotonic()
            number, dropped = next_tick(number, now - origin, self._interval)
            self._telemetry.record_tick(len(self._roster), now - began, dropped)
            await asyncio.sleep(max(origin + number * self._interval - now, 0.0))

    async def _tick(self, began: float, *, spread: bool) -> None:
        self._ticking = True
        self._tick_began = began
        self._spread = spread
        try:
            await self._take_over(await self._listing.records())
            if self._roster.games:
                with self._stall.watching():
                    await self._probe_all()
        finally:
            self._ticking = False

    async def _take_over(self, records: list[RuntimeRecord]) -> None:
        """Prune what is gone, prepare what is new, and learn from the log how it stands with the new.

        The first games wait for that; games that appear among others are probed meanwhile, and nothing about them is
        decided before the log has told: the ledger has admitted them when the roster names them, and not after. All of
        it is done in portions, and a tick that is cancelled in the middle leaves one roster or the other in force.
        """
        first = not self._roster.games
        roster, change = await self._roster.updated(records)
        async for game_id in in_portions(change.appeared):
            self._ledger.admit(game_id)
        self._roster = roster
        async for target in in_portions(change.retired):
            self._forget(target)
        async for game_id in in_portions(change.left):
            self._ledger.dismiss(game_id)
        async for game_id in in_portions(sorted(change.repeated)):
            self._logger.warning("game is listed more than once, only its first record counts", game_id=game_id)
        if change.appeared and (first or not self._spread):
            await self._committer.offer_within(self._patience)
        elif change.appeared:
            self._committer.wake()

    async def _probe_all(self) -> None:
        agenda = Agenda(self._roster.games, self._roster.phases, self._tick_began, spread=self._spread)
        async with Lanes(
            agenda,
            self._prober,
            self._judge,
            limit=self._lane_limit(),
            probe_timeout=self._probe_timeout,
            monotonic=self._monotonic,
        ) as lanes:
            while not agenda.is_done:
                now = self._monotonic()
                waiting = agenda.waiting(now)
                begun = lanes.begin(min(waiting, _GROUP))
                if begun < waiting:
                    await asyncio.sleep(0 if begun == _GROUP else _PACE)
                elif not agenda.ends_with(waiting):
                    await asyncio.sleep(max(agenda.until_next(now, beyond=waiting), _PACE))
                else:
                    break
            await lanes.all_judged()

    def _lane_limit(self) -> int:
        if isinstance(self._max_concurrency, int):
            return self._max_concurrency if self._max_concurrency > 0 else DEFAULT_MAX_CONCURRENCY
        return self._max_concurrency.limit(self._roster.most_in_flight if self._spread else len(self._roster))

    def _judge(self, game: WatchedGame, outcome: ProbeOutcome, started: float) -> None:
        """Take one outcome into account. Never raises: one probe's fault is not another's."""
        try:
            now = self._monotonic()
            if self._stall.spans(started, now):
                outcome = _STOOD_STILL
            if outcome is not HEALTHY or self._ledger.states:
                self._decide(game, outcome)
            due = self._tick_began + game.phase if self._spread else self._tick_began
            self._record_probe(outcome, now - started, started - due)
        except Exception as error:  # noqa: BLE001  a collaborator's, or our own
            self._faults.tell(f"{type(error).__name__}: {error}")

    def _forget(self, target: ProbeTarget) -> None:
        try:
            self._prober.forget(target)
        except Exception as error:  # noqa: BLE001  the prober's own; it keeps what it will not let go of
            self._faults.tell(f"{type(error).__name__}: {error}")

    def _decide(self, game: WatchedGame, outcome: ProbeOutcome) -> None:
        if isinstance(outcome, Inconclusive):
            self._inconclusive.tell(outcome.cause)
            return
        concerned = isinstance(outcome, Failed) or game.game_id in self._ledger.states
        if concerned and self._ledger.judge(game.record, outcome):
            self._committer.wake()


def _require(**collaborators: object) -> None:
    for name, collaborator in collaborators.items():
        if collaborator is None:
            raise ConfigurationError(f"a worker needs {name}, and was given None")


def _require_positive(**numbers: float) -> None:
    for name, number in numbers.items():
        if not (isfinite(number) and number > 0):
            raise ConfigurationError(f"{name} must be a positive number, and is {number!r}")
