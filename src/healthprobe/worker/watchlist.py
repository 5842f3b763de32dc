"""The watchlist: which games are to be watched now, by the list of the store and the shards that are ours."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence

from healthprobe.domain.record import RuntimeRecord
from healthprobe.ports import ShardTenure
from healthprobe.worker.listing import Listing
from healthprobe.worker.portions import in_portions
from healthprobe.worker.roster import Roster, RosterChange, WatchedGame
from healthprobe.worker.takeover import Takeover


class Watchlist:
    """Brings what the store lists and what is ours into force. Without `shards` all games are ours.

    `monotonic` tells seconds.
    """

    def __init__(
        self, listing: Listing, takeover: Takeover, shards: ShardTenure | None, monotonic: Callable[[], float]
    ) -> None:
        self._listing = listing
        self._takeover = takeover
        self._shards = shards
        self._monotonic = monotonic
        self._looked_at = 0.0
        self._one_at_a_time = asyncio.Lock()

    @property
    def roster(self) -> Roster:
        """What is in force."""
        return self._takeover.roster

    async def update(self) -> RosterChange:
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
        return [game async for game in in_portions(moved) if covers(game.shard, began + game.phase)]

    async def aclose(self) -> None:
        """Wait for no list any more."""
        await self._listing.aclose()

    async def _let_go_of_interrupted(
        self, records: Sequence[RuntimeRecord], shards: frozenset[int], tenure: ShardTenure
    ) -> None:
        """Of shards that were lost and are back since we looked last, others may have told more than we know."""
        known = self._takeover.roster.shards or frozenset()
        interrupted = frozenset(shard for shard in shards & known if not tenure.covers(shard, self._looked_at))
        if interrupted:
            await self._takeover.to(records, shards - interrupted)
