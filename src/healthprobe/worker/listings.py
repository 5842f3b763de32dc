"""The last complete listings of the store: which games have been in none of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Sequence

from healthprobe._util.aio import ITEMS_A_TURN, cooperative_iter
from healthprobe.domain.alarms.gone import LISTINGS, gone_games
from healthprobe.domain.record import RuntimeRecord

_IDS_A_TURN = 50 * ITEMS_A_TURN
"""How many ids are collected between two turns of the loop: about half a millisecond."""


class _Listing:
    """The records of a listing, and the games of records that were left out. Their ids are collected when needed."""

    __slots__ = ("_game_ids", "left_out", "records")

    def __init__(self, records: Sequence[RuntimeRecord], left_out: frozenset[str]) -> None:
        self.records = records
        self.left_out = left_out
        self._game_ids: frozenset[str] | None = None

    async def collect(self) -> None:
        """Collects the ids, and lets other tasks run."""
        if self._game_ids is None:
            game_ids = set(self.left_out)
            async for record in cooperative_iter(self.records, _IDS_A_TURN):
                game_ids.add(record.game_id)
            self._game_ids = frozenset(game_ids)

    @property
    def game_ids(self) -> frozenset[str]:
        if self._game_ids is None:
            self._game_ids = self.left_out.union(record.game_id for record in self.records)
        return self._game_ids


class Listings:
    """The complete listings of all games, whatever their shard, one a tick. A listing that failed is never added.

    The same list object costs nothing, and while nobody asks about a game that is not listed, so does another one.
    """

    def __init__(self) -> None:
        self._last: deque[_Listing] = deque(maxlen=LISTINGS)

    def add(self, records: Sequence[RuntimeRecord], left_out: Collection[str] = ()) -> None:
        """Adds a listing. The games of records that it left out count as listed; if one is unknown (""), it is no
        complete listing, and not added.
        """
        if "" in left_out:
            return
        newest = self._last[-1] if self._last else None
        if newest is not None and newest.records is records and newest.left_out == frozenset(left_out):
            self._last.append(newest)
        else:
            self._last.append(_Listing(records, frozenset(left_out)))

    @property
    def newest(self) -> Sequence[RuntimeRecord]:
        """The records of the last complete listing; the same object while nothing changes."""
        return self._last[-1].records if self._last else ()

    def is_gone(self, game_id: str) -> bool:
        """Returns whether the game is in none of the last three complete listings."""
        return bool(gone_games([game_id], [listing.game_ids for listing in self._last]))

    async def gone(self, game_ids: Iterable[str]) -> frozenset[str]:
        """Returns those of `game_ids` that are gone. Lets other tasks run while it reads new listings."""
        candidates, last = frozenset(game_ids), tuple(self._last)
        if not candidates or len(last) < LISTINGS:
            return frozenset()
        for listing in last:
            await listing.collect()
        return gone_games(candidates, [listing.game_ids for listing in last])
