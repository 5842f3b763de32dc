"""Static shards: a fixed part of the games, given to this instance at its start."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection

from healthprobe.domain.shard import SHARDS


class StaticShards:
    """ShardLeases that never change. No instance is prevented from having the same shards, and then both probe them.

    `has_duties` is whether this instance delivers and prunes, which one instance does for all.
    """

    def __init__(self, shards: frozenset[int], *, shard_count: int = SHARDS, has_duties: bool = False) -> None:
        self.shards = shards
        self.shard_count = shard_count
        self.has_duties = has_duties
        self.unavailable_for = 0.0

    def covers(self, shard: int, started: float) -> bool:  # noqa: ARG002  it was ours before, and will be
        return shard in self.shards

    async def confirm(self, shards: Collection[int]) -> Collection[int]:
        return self.shards.intersection(shards)

    def on_change(self, callback: Callable[[], None]) -> None:
        """Never calls `callback`."""

    def set_sight(self, *, sees: bool) -> None:
        """Keeps the shards: no other instance would take them."""

    def before_release(self, release: Callable[[frozenset[int]], Awaitable[None]]) -> None:
        """Never calls `release`."""
