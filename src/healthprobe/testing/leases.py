"""The tenure: shards that are ours as long as a test says so."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable

from healthprobe.domain.shard import SHARDS

ALL_SHARDS = frozenset(range(SHARDS))


class ScriptedLeases:
    """A ShardLeases under command; made inside a running loop.

    All games are spread over `shard_count` shards. `confirming` False is as when whoever gives the shards cannot be
    reached: what is ours stays so for the moment.
    """

    def __init__(self, shards: Iterable[int] = ALL_SHARDS, *, shard_count: int = SHARDS) -> None:
        self.shards = frozenset(shards)
        self.shard_count = shard_count
        self.confirming = True
        self.unavailable_for = 0.0
        self.confirmed: list[frozenset[int]] = []
        self._loop = asyncio.get_running_loop()
        self._acquired_at = dict.fromkeys(self.shards, self._loop.time())
        self._told: list[Callable[[], None]] = []
        self._settling: list[Callable[[frozenset[int]], Awaitable[None]]] = []

    def covers(self, shard: int, started: float) -> bool:
        return shard in self.shards and self._acquired_at[shard] <= started

    async def confirm(self, shards: Collection[int]) -> Collection[int]:
        self.confirmed.append(frozenset(shards))
        return self.shards.intersection(shards) if self.confirming else ()

    def on_change(self, tell: Callable[[], None]) -> None:
        self._told.append(tell)

    def before_release(self, settle: Callable[[frozenset[int]], Awaitable[None]]) -> None:
        self._settling.append(settle)

    def give(self, *shards: int) -> None:
        """These are ours from now on."""
        self._acquired_at.update(dict.fromkeys(shards, self._loop.time()))
        self._become(self.shards | frozenset(shards))

    def lose(self, *shards: int) -> None:
        """These are ours no more, without a warning: a lease has lapsed."""
        self._become(self.shards - frozenset(shards))

    async def hand_over(self, *shards: int) -> None:
        """These are given away, in good order."""
        self.lose(*shards)
        for settle in self._settling:
            await settle(frozenset(shards))

    def _become(self, shards: frozenset[int]) -> None:
        self.shards = shards
        for tell in self._told:
            tell()
