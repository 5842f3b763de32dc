"""The state of the cluster and the events it has delivered, with functions that wait for them."""

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
"""Returns the processes of the instances that run."""


class View:
    """Reads the cluster's state; calls `on_transition` with every event that was not delivered before."""

    def __init__(self, stream: JetStream, on_transition: Callable[[HealthEvent], None]) -> None:
        self._stream = stream
        self._on_transition = on_transition
        self.delivered: dict[str, HealthEvent] = {}
        self.deliveries = 0

    def on_event(self, event: HealthEvent) -> None:
        """Counts a delivery. After a kill an event may be delivered again."""
        self.deliveries += 1
        if event.id not in self.delivered:
            self.delivered[event.id] = event
            self._on_transition(event)

    async def present(self, pids: Pids) -> list[Instance]:
        """Returns the documents of these processes; none while JetStream does not answer."""
        with suppress(HealthprobeError):
            return [each for each in await instances(self._stream) if each.pid in pids()]
        return []

    async def until_shared(self, pids: Pids) -> float:
        """Waits until these hold all shards in equal shares; returns the seconds that it took."""

        async def shared() -> bool:
            counts = [len(each.shards) for each in await self.present(pids)]
            return len(counts) == len(pids()) and sum(counts) == SHARDS and max(counts) - min(counts) <= 1

        return await until(shared)

    async def until_held(self, pids: Pids) -> float:
        """Waits until each shard is held by one of these; returns the seconds that it took."""

        async def held() -> bool:
            return len({shard for each in await self.present(pids) for shard in each.shards}) == SHARDS

        return await until(held)

    async def until_delivered(self, game_id: str) -> float:
        """Waits until an event of this game was delivered; returns the seconds that it took."""

        async def delivered() -> bool:
            return any(event.game_id == game_id for event in self.delivered.values())

        return await until(delivered)


async def until(condition: Callable[[], Awaitable[bool]]) -> float:
    """Waits for `condition`; returns the seconds that it took."""
    began = time.monotonic()
    while not await condition():  # noqa: ASYNC110 - what is waited for is elsewhere
        await asyncio.sleep(_LOOK_EVERY)
    return time.monotonic() - began
