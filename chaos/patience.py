"""Patience: waiting for what must come, and for no longer than it may take."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from healthprobe.adapters.nats.connection import heeding_cancellation

_LOOK_EVERY = 0.02


class Impatient(Exception):
    """What must come has not come."""


async def until(condition: Callable[[], Awaitable[bool]], hope: str, *, within: float) -> float:
    """Wait for `condition`, asked again and again; the seconds that it took. Raises Impatient after `within`."""
    began = time.monotonic()
    while True:
        with heeding_cancellation():  # clients of NATS and of Redis ask by asyncio.wait_for
            if await condition():
                break
        if time.monotonic() - began > within:
            raise Impatient(f"waited {within:g}s in vain until {hope}")
        await asyncio.sleep(_LOOK_EVERY)
    return time.monotonic() - began


async def to_its_end(work: Callable[[], object]) -> None:
    """`work` on a thread, awaited even where we are cancelled: a server half started would be left behind."""
    working = asyncio.create_task(asyncio.to_thread(work))
    try:
        await asyncio.shield(working)
    except asyncio.CancelledError:
        await asyncio.wait({working})
        raise
