"""Scripted leases: a test decides which shards this instance holds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable

from healthprobe.domain.shard import SHARDS

ALL_SHARDS = frozenset(range(SHARDS))


class ScriptedLeases:
    """A ShardLeases that a test controls. Create it inside a running loop.

    Games are spread over `shard_count` shards. While `confirming` is False, no shard is confirmed, as when the server
    that grants the leases cannot be reached. `sight` lists what `set_sight` was called with.
    """

    def __init__(self, shards: Iterable[int] = ALL_SHARDS, *, shard_count: int = SHARDS) -> None:
        self.shards = frozenset(shards)
        self.shard_count = shard_count
        self.confirming = True
        self.unavailable_for = 0.0
        self.confirmed: list[frozenset[int]] = []
        self.sight: list[bool] = []
        self._loop = asyncio.get_running_loop()
        self._acquired_at = dict.fromkeys(self.shards, self._loop.time())
        self._on_change: list[Callable[[], None]] = []
        self._before_release: list[Callable[[frozenset[int]], Awaitable[None]]] = []

    def covers(self, shard: int, started: float) -> bool:
        return shard in self.shards and self._acquired_at[shard] <= started

    async def confirm(self, shards: Collection[int]) -> Collection[int]:
        self.confirmed.append(frozenset(shards))
        return self.shards.intersection(shards) if self.confirming else ()

    def on_change(self, callback: Callable[[], None]) -> None:
        self._on_change.append(callback)

    def set_sight(self, *, sees: bool) -> None:
        self.sight.append(sees)

    def before_release(self, release: Callable[[frozenset[int]], Awaitable[None]]) -> None:
        self._before_release.append(release)

    def give(self, *shards: int) -> None:
        """Grants these shards to the instance."""
        self._acquired_at.update(dict.fromkeys(shards, self._loop.time()))
        self._set(self.shards | frozenset(shards))

    def lose(self, *shards: int) -> None:
        """Takes these shards away without warning, as when a lease expires."""
        self._set(self.shards - frozenset(shards))

    async def hand_over(self, *shards: int) -> None:
        """Takes these shards away and awaits their release, as an orderly handover does."""
        self.lose(*shards)
        for release in self._before_release:
            await release(frozenset(shards))

    def _set(self, shards: frozenset[int]) -> None:
        self.shards = shards
        for callback in self._on_change:
            callback()
