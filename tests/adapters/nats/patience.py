"""Patience with a log whose servers die: until it is there again, it says that trying again may help."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from healthprobe.adapters.nats import JetStreamLog
from healthprobe.domain.event import HealthEvent
from healthprobe.ports import LogError

Told = TypeVar("Told")

PATIENCE = 60.0


async def at_last(call: Callable[[], Awaitable[Told]]) -> Told:
    """What `call` returns when the log is there."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                return await call()
            except LogError as error:
                if error.permanent:
                    raise
                await asyncio.sleep(0.05)


async def events_in(log: JetStreamLog) -> list[HealthEvent]:
    return [entry.event for entry in await at_last(partial(log.read, 0, 100_000))]
