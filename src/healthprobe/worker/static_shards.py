"""Static shards: a part of the fleet that is this instance's for ever, because whoever started it said so."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection

from healthprobe.domain.shard import SHARDS


class StaticShards:
    """A ShardLeases that never changes. Nobody watches over it: two instances with the same part probe it twice.

    All games are spread over `shard_count` of them. `has_duties` tells whether this instance delivers and prunes, which
    one of them does for all.
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

    def on_change(self, tell: Callable[[], None]) -> None:
        """There is none."""

    def before_release(self, settle: Callable[[frozenset[int]], Awaitable[None]]) -> None:
        """There is none."""
