"""Discovery: which games are to be probed now, by the store's list and the shards that are ours."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence

from healthprobe._util.aio import CALL_TIMEOUT, COLLABORATOR_ERRORS, AutoResetEvent, cooperative_iter, error_text
from healthprobe.domain.record import RUNNING, RuntimeRecord
from healthprobe.domain.target import ProbeTarget
from healthprobe.ports import RuntimeRecordStore, ShardLeases, StoreError, Telemetry
from healthprobe.worker.event_writer import Committer
from healthprobe.worker.game_states import Ledger
from healthprobe.worker.safe_logging import SafeLogger
from healthprobe.worker.target_set import TargetSet, TargetSetChange, WatchedGame


class Listing:
    """Asks the store for the running records, with patience but never for ever.

    A store that fails or does not answer within `patience` seconds leaves the last good list in force: the prober must
    not go blind because a database does. It says so once, and once when the store is back.
    """

    def __init__(self, store: RuntimeRecordStore, telemetry: Telemetry, logger: SafeLogger, patience: float) -> None:
        self._store = store
        self._telemetry = telemetry
        self._logger = logger
        self._patience = patience
        self._no_answer = f"the store has not answered for {patience:g}s"
        self._asked: asyncio.Task[list[RuntimeRecord]] | None = None
        self._last_good: list[RuntimeRecord] = []
        self._complaint: str | None = None

    async def records(self) -> list[RuntimeRecord]:
        """The running records; the very same list object where nothing has changed."""
        if self._asked is None:
            self._asked = asyncio.create_task(self._ask())
        await asyncio.wait({self._asked}, timeout=self._patience)
        if not self._asked.done():
            self._complain(self._no_answer)
            return self._last_good
        asked, self._asked = self._asked, None
        try:
            self._last_good = asked.result()
        except COLLABORATOR_ERRORS as error:
            self._complain(error_text(error))
        else:
            self._say_that_it_is_back()
        return self._last_good

    async def _ask(self) -> list[RuntimeRecord]:
        try:
            async with asyncio.timeout(CALL_TIMEOUT):
                return await self._store.list_by_status(RUNNING)
        except TimeoutError:
            raise StoreError(self._no_answer) from None

    async def aclose(self) -> None:
        """End a question that the store still owes an answer to."""
        if self._asked is not None:
            self._asked.cancel()
            await asyncio.gather(self._asked, return_exceptions=True)
            self._asked = None

    def _complain(self, cause: str) -> None:
        if cause != self._complaint:
            self._complaint = cause
            self._logger.warning("list running records", err=cause, games_in_force=len(self._last_good))
        self._telemetry.record_listing_error()

    def _say_that_it_is_back(self) -> None:
        if self._complaint is not None:
            self._complaint = None
            self._logger.info("running records are listed again", games=len(self._last_good))


class Takeover:
    """Prunes what is gone, prepares what is new, and has the ledger admit it. `target_set` is what is in force.

    Nothing about a new game is decided before the log has told of it: the ledger has admitted it when the set names
    it, and not after. What was decided when its shard was ours the last time is dropped. All of it is done in portions,
    and one that is cancelled in the middle leaves one target_set or the other in force. `welcome` is told of newcomers,
    `forget` of targets that are not probed any more, `dismiss` of games.
    """

    def __init__(
        self,
        target_set: TargetSet,
        ledger: Ledger,
        *,
        welcome: Callable[[Sequence[WatchedGame]], None],
        forget: Callable[[ProbeTarget], None],
        dismiss: Callable[[str], None],
        logger: SafeLogger,
    ) -> None:
        self.target_set = target_set
        self._ledger = ledger
        self._welcome = welcome
        self._forget = forget
        self._dismiss = dismiss
        self._logger = logger

    async def to(self, records: Sequence[RuntimeRecord], shards: frozenset[int] | None) -> TargetSetChange:
        """Let `records` be in force, of these shards or of all; what that has changed."""
        target_set, change = await self.target_set.updated(records, shards)
        ours_before = self.target_set.shards
        async for game_id in cooperative_iter(change.appeared):
            if ours_before is not None and target_set.by_id[game_id].shard not in ours_before:
                self._ledger.abandon(game_id)
            self._ledger.admit(game_id)
        self.target_set = target_set
        self._welcome(change.newcomers)
        async for target in cooperative_iter(change.retired):
            self._forget(target)
        async for game_id in cooperative_iter(change.left):
            self._ledger.dismiss(game_id)
            self._dismiss(game_id)
        async for game_id in cooperative_iter(sorted(change.repeated)):
            self._logger.warning("game is listed more than once, only its first record counts", game_id=game_id)
        return change


class Watchlist:
    """Brings what the store lists and what is ours into force. Without `shards` all games are ours.

    `monotonic` tells seconds.
    """

    def __init__(
        self, listing: Listing, takeover: Takeover, shards: ShardLeases | None, monotonic: Callable[[], float]
    ) -> None:
        self._listing = listing
        self._takeover = takeover
        self._shards = shards
        self._monotonic = monotonic
        self._looked_at = 0.0
        self._one_at_a_time = asyncio.Lock()

    @property
    def target_set(self) -> TargetSet:
        """What is in force."""
        return self._takeover.target_set

    async def update(self) -> TargetSetChange:
        """Look what is listed and what is ours, and let that be in force; what it has changed."""
        async with self._one_at_a_time:
            records = await self._listing.records()
            if self._shards is None:
                return await self._takeover.to(records, None)
            looked_at, shards = self._monotonic(), self._shards.shards
            await self._let_go_of_interrupted(records, shards, self._shards)
            change = await self._takeover.to(records, shards)
            self._looked_at = looked_at
            return change

    async def ours_when_due(self, moved: Iterable[WatchedGame], began: float) -> Sequence[WatchedGame]:
        """Those of `moved` whose shard was ours already when they were due, in the tick that `began` then."""
        if self._shards is None:
            return ()
        covers = self._shards.covers
        return [game async for game in cooperative_iter(moved) if covers(game.shard, began + game.phase)]

    async def aclose(self) -> None:
        """Wait for no list any more."""
        await self._listing.aclose()

    async def _let_go_of_interrupted(
        self, records: Sequence[RuntimeRecord], shards: frozenset[int], tenure: ShardLeases
    ) -> None:
        """Of shards that were lost and are back since we looked last, others may have told more than we know."""
        known = self._takeover.target_set.shards or frozenset()
        interrupted = frozenset(shard for shard in shards & known if not tenure.covers(shard, self._looked_at))
        if interrupted:
            await self._takeover.to(records, shards - interrupted)


_BETWEEN_TAKEOVERS = 0.1
_REST = 4.0
"""The least time, in seconds, between two takeovers in the middle of a tick, and how much longer it is than the last of
them took, without what the log took: where games start all the time, a long list is gone through once a second and not
a hundred times."""

_NEWCOMERS_WAIT = 0.5
"""How long, in seconds, games that start wait at most until the log has told of them: nothing is decided before."""


class Changes:
    """Updates the watchlist whenever it is told of a change, and awaits `go_on_with` with what that has changed.

    `patience` is how many seconds a log that hangs may delay a newcomer. A takeover that breaks is told to `tell_of`;
    the next tick makes up for it.
    """

    def __init__(
        self,
        watchlist: Watchlist,
        committer: Committer,
        go_on_with: Callable[[TargetSetChange], Awaitable[None]],
        tell_of: Callable[[Exception], None],
        *,
        patience: float,
        monotonic: Callable[[], float],
    ) -> None:
        self._watchlist = watchlist
        self._committer = committer
        self._go_on_with = go_on_with
        self._tell_of = tell_of
        self._patience = min(patience, _NEWCOMERS_WAIT)
        self._monotonic = monotonic
        self._log_took = 0.0
        self._news = AutoResetEvent()
        self._moves = AutoResetEvent()

    def set(self) -> None:
        """The list has changed."""
        self._news.set()

    def tell_of_move(self) -> None:
        """Shards have come or gone: what they have is watched by nobody until we take that over, so no rest is due."""
        self._moves.set()
        self._news.set()

    async def run(self) -> None:
        """Take over what changes, until cancelled."""
        while True:
            await self._news.wait()
            heard_at = self._monotonic()
            self._log_took = 0.0
            try:
                await self._take_over()
            except Exception as error:  # noqa: BLE001  the next tick takes it over
                self._tell_of(error)
            rest = _REST * (self._monotonic() - heard_at - self._log_took)
            await asyncio.sleep(_BETWEEN_TAKEOVERS)
            await self._moves.wait_at_most(rest)

    async def _take_over(self) -> None:
        change = await self._watchlist.update()
        if change.newcomers:
            asked_at = self._monotonic()
            await self._committer.offer_within(self._patience)
            self._log_took = self._monotonic() - asked_at
        await self._go_on_with(change)
