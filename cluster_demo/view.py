"""The view: what the cluster tells of itself, and what its instances have delivered, to be waited for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress

from healthprobe.adapters.nats import instances
from healthprobe.adapters.nats.connection import JetStream
from healthprobe.domain.cluster import Instance
from healthprobe.domain.event import HealthEvent
from healthprobe.domain.shard import SHARDS
from healthprobe.ports import HealthprobeError

_LOOK_EVERY = 0.05

Pids = Callable[[], Collection[int]]
"""The processes that are meant, whenever it is asked."""


class View:
    """Looks at the cluster through `stream`; `tell` is called with every transition that was not delivered before."""

    def __init__(self, stream: JetStream, tell: Callable[[HealthEvent], None]) -> None:
        self._stream = stream
        self._tell = tell
        self.delivered: dict[str, HealthEvent] = {}
        self.deliveries = 0

    def hear(self, event: HealthEvent) -> None:
        """An instance has delivered this; after a kill another one may do so again."""
        self.deliveries += 1
        if event.id not in self.delivered:
            self.delivered[event.id] = event
            self._tell(event)

    async def present(self, pids: Pids) -> list[Instance]:
        """What those of these processes tell that JetStream knows; nobody while it does not answer."""
        with suppress(HealthprobeError):
            return [each for each in await instances(self._stream) if each.pid in pids()]
        return []

    async def until_shared(self, pids: Pids) -> float:
        """Wait until these watch all shards, each about as many as any other; the seconds that it took."""

        async def shared() -> bool:
            counts = [len(each.shards) for each in await self.present(pids)]
            return len(counts) == len(pids()) and sum(counts) == SHARDS and max(counts) - min(counts) <= 1

        return await until(shared)

    async def until_watched(self, pids: Pids) -> float:
        """Wait until each shard is watched by one of these; the seconds that it took."""

        async def watched() -> bool:
            return len({shard for each in await self.present(pids) for shard in each.shards}) == SHARDS

        return await until(watched)

    async def until_told(self, game_id: str) -> float:
        """Wait until a transition of this game was delivered; the seconds that it took."""

        async def told() -> bool:
            return any(event.game_id == game_id for event in self.delivered.values())

        return await until(told)


async def until(condition: Callable[[], Awaitable[bool]]) -> float:
    """Wait for `condition`, for as long as the demo lasts; the seconds that it took."""
    began = time.monotonic()
    while not await condition():  # noqa: ASYNC110 - what is waited for is elsewhere
        await asyncio.sleep(_LOOK_EVERY)
    return time.monotonic() - began
