"""Waiting for a condition, with a limit."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from healthprobe.adapters.nats.connection import propagating_cancellation

_LOOK_EVERY = 0.02


class WaitedTooLong(Exception):
    """A condition did not become true in time."""


async def until(condition: Callable[[], Awaitable[bool]], hope: str, *, within: float) -> float:
    """Waits for `condition` and returns how many seconds it took. Raises WaitedTooLong after `within` seconds."""
    began = time.monotonic()
    while True:
        with propagating_cancellation():  # clients of NATS and of Redis ask by asyncio.wait_for
            if await condition():
                break
        if time.monotonic() - began > within:
            raise WaitedTooLong(f"not within {within:g}s: {hope}")
        await asyncio.sleep(_LOOK_EVERY)
    return time.monotonic() - began


async def finish(work: Callable[[], object]) -> None:
    """Runs `work` on a thread to its end, even when cancelled: a server half started would be left behind."""
    working = asyncio.create_task(asyncio.to_thread(work))
    try:
        await asyncio.shield(working)
    except asyncio.CancelledError:
        await asyncio.wait({working})
        raise
