"""Discovery: which games are to be probed now, by the store's list and by the shards that are ours."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from itertools import islice

from healthprobe._util.aio import CALL_TIMEOUT, COLLABORATOR_ERRORS, cooperative_iter, error_text
from healthprobe._util.safe_logging import RateLimitedWarning, SafeLogger
from healthprobe.domain.labels import fault_of
from healthprobe.domain.record import RUNNING, RuntimeRecord
from healthprobe.ports import ConnectionKeeper, PartialRecords, Prober, RuntimeRecordStore, ShardLeases, StoreError
from healthprobe.worker.config import Clock, WorkerConfig
from healthprobe.worker.game_states import GameStates
from healthprobe.worker.listings import Listings
from healthprobe.worker.observations import Observations
from healthprobe.worker.safe_telemetry import SafeTelemetry
from healthprobe.worker.suppression import Suppression
from healthprobe.worker.target_set import Targets, TargetSet, TargetSetChange

_FAULTS_NAMED = 10
"""How many faults of labels are named of one listing."""


class Discovery:
    """Brings into force what the store lists and what is ours. Without `shards` all games are ours.

    A store that fails, or that does not answer within the configuration's `call_patience`, leaves the last good list in
    force. That is logged once, and once more when the store is back. `has_listing` says whether a list is in force yet,
    `listings` are the last complete ones of ticks.
    """

    def __init__(
        self,
        store: RuntimeRecordStore,
        config: WorkerConfig,
        targets: Targets,
        states: GameStates,
        suppression: Suppression,
        *,
        observations: Observations,
        prober: Prober,
        shards: ShardLeases | None,
        telemetry: SafeTelemetry,
        clock: Clock,
        logger: SafeLogger,
        errors: RateLimitedWarning,
    ) -> None:
        self._store = store
        self._patience = config.call_patience
        self._no_answer = f"the store has not answered for {config.call_patience:g}s"
        self._targets = targets
        self._states = states
        self._suppression = suppression
        self._observations = observations
        self._prober = prober
        self._shards = shards
        self._telemetry = telemetry
        self._monotonic = clock.monotonic
        self._logger = logger
        self._errors = errors
        self._looked_at = 0.0
        self._one_at_a_time = asyncio.Lock()
        self._listing: asyncio.Task[list[RuntimeRecord]] | None = None
        self._last_good: list[RuntimeRecord] = []
        self._listing_error: str | None = None
        self.listings = Listings()
        self._was_listed = False
        self.has_listing = False

    @property
    def target_set(self) -> TargetSet:
        """The target set in force."""
        return self._targets.in_force

    async def update(self, *, for_tick: bool = False) -> TargetSetChange:
        """Lists the records, checks which shards are ours, brings that into force and returns what it changed.

        Only what is listed `for_tick` counts for `listings`: between ticks a store may be half edited.
        """
        async with self._one_at_a_time:
            records = await self._list(for_tick=for_tick)
            change = await self._update(records)
            self.has_listing = self._was_listed
            return change

    async def _update(self, records: Sequence[RuntimeRecord]) -> TargetSetChange:
        if self._shards is None:
            return await self._apply(records, None)
        looked_at, shards = self._monotonic(), self._shards.shards
        known = self.target_set.shards or frozenset()
        interrupted = frozenset(shard for shard in shards & known if not self._shards.covers(shard, self._looked_at))
        if interrupted:  # lost and regained meanwhile: another instance may have written events of these games
            await self._apply(records, shards - interrupted)
        change = await self._apply(records, shards)
        self._looked_at = looked_at
        return change

    async def aclose(self) -> None:
        """Cancels a call of the store that has not ended."""
        if self._listing is not None:
            self._listing.cancel()
            await asyncio.gather(self._listing, return_exceptions=True)
            self._listing = None

    async def _list(self, *, for_tick: bool) -> list[RuntimeRecord]:
        """Returns the running records, or the last good list; the same list object where nothing has changed."""
        if self._listing is None:
            self._listing = asyncio.create_task(self._call_store())
        await asyncio.wait({self._listing}, timeout=self._patience)
        error = self._no_answer
        if self._listing.done():
            listing, self._listing = self._listing, None
            try:
                self._last_good = listing.result()
            except COLLABORATOR_ERRORS as raised:
                error = error_text(raised)
            else:
                self._was_listed = True
                if self._listing_error is not None:
                    self._listing_error = None
                    self._logger.info("running records are listed again", games=len(self._last_good))
                if for_tick:
                    left_out = self._store.left_out if isinstance(self._store, PartialRecords) else ()
                    self.listings.add(self._last_good, left_out)
                return self._last_good
        if error != self._listing_error:
            self._listing_error = error
            self._logger.warning("list running records", err=error, games_in_force=len(self._last_good))
        self._telemetry.record_listing_error()
        return self._last_good

    def _name_faults(self, mislabelled: Sequence[RuntimeRecord]) -> None:
        """Names each fault of labels with the first game that has it, and the first faults where there are many."""
        games = Counter(fault_of(record.labels) for record in mislabelled)
        first = {fault_of(record.labels): record.game_id for record in reversed(mislabelled)}
        message = "labels dropped, the games are probed"
        for fault, count in islice(games.items(), _FAULTS_NAMED):
            self._logger.warning(message, game_id=first[fault], err=fault, games=count)
        if len(games) > _FAULTS_NAMED:
            self._logger.warning(message, err="and more faults of this kind", games=games.total())

    async def _call_store(self) -> list[RuntimeRecord]:
        try:
            async with asyncio.timeout(CALL_TIMEOUT):
                return await self._store.list_by_status(RUNNING)
        except TimeoutError:
            raise StoreError(self._no_answer) from None

    async def _apply(self, records: Sequence[RuntimeRecord], shards: frozenset[int] | None) -> TargetSetChange:
        """Brings `records` into force, of these shards or of all, and returns what that changed.

        A game's state is added before the target set names it, so that nothing about it is decided before the log was
        read. Other tasks run meanwhile; if this is cancelled, the old target set or the new one is in force.
        """
        before = self.target_set
        target_set, change = await before.updated(records, shards)
        async for game_id in cooperative_iter(change.appeared):
            if before.shards is not None and target_set.by_id[game_id].shard not in before.shards:
                self._states.abandon(game_id)  # what was decided when we had its shard before is outdated
            self._states.add(game_id)
        if change.appeared:
            self._states.changed.set()
        self._targets.in_force = target_set
        self._observations.begin(change.appeared, change.newcomers)
        self._suppression.grace.begin(change.newcomers, self._monotonic())
        if isinstance(self._prober, ConnectionKeeper):
            async for target in cooperative_iter(change.retired):
                try:
                    self._prober.forget(target)
                except Exception as error:  # noqa: BLE001  the prober keeps what it cannot forget
                    self._errors.warn_of(error)
        async for game_id in cooperative_iter(change.left):
            self._states.remove(game_id)
            self._suppression.remove(game_id)
            self._observations.end(game_id)
        async for game_id in cooperative_iter(sorted(change.repeated)):
            self._logger.warning("game is listed more than once, only its first record counts", game_id=game_id)
        self._name_faults(change.mislabelled)
        return change
