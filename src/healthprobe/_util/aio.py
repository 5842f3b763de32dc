"""asyncio helpers: background tasks, long loops that yield, and errors of collaborators."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import Any, TypeVar


@asynccontextmanager
async def background_tasks(*coroutines: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Runs the coroutines as tasks while the block runs, and cancels them when it ends. Ignores what they raise."""
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


ITEMS_A_TURN = 100
"""The most items between two turns of the loop: preparing so many new games takes two or three milliseconds."""

Item = TypeVar("Item")


async def cooperative_iter(items: Iterable[Item], size: int = ITEMS_A_TURN) -> AsyncIterator[Item]:
    """Yields the items in order and lets other tasks run after every `size` of them."""
    for number, item in enumerate(items, start=1):
        yield item
        if number % size == 0:
            await asyncio.sleep(0)


class AutoResetEvent:
    """An event that clears itself when a waiter returns. For one waiter; setting it twice wakes it once."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def set(self) -> None:
        self._event.set()

    async def wait(self) -> None:
        """Returns when the event was set since the last return."""
        await self._event.wait()
        self._event.clear()

    async def wait_at_most(self, seconds: float) -> None:
        """Returns when the event is set, or after `seconds`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.wait()


COLLABORATOR_ERRORS = (Exception, asyncio.CancelledError)
"""What a collaborator may raise. CancelledError too: a task inside it may have been cancelled, and not the caller."""

CALL_TIMEOUT = 30.0
"""Seconds after which a call of a store or a log that hangs is given up and made again."""


def raise_if_cancelled() -> None:
    """Raises CancelledError if the running task was cancelled. Call it first where COLLABORATOR_ERRORS are caught."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def error_text(error: BaseException) -> str:
    """The error's message, or the name of its type where it has none."""
    return str(error) or type(error).__name__
