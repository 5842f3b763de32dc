"""asyncio helpers: background tasks, long loops in portions, and faults of collaborators."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import Any, TypeVar


@asynccontextmanager
async def beside(*works: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Let `works` run as long as somebody is inside, and cancel them then; what they raise is theirs alone."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


PORTION = 100
"""The most items between two turns of the loop: to prepare so many new games takes two or three milliseconds."""

Item = TypeVar("Item")


async def in_portions(items: Iterable[Item], size: int = PORTION) -> AsyncIterator[Item]:
    """Each of `items` in order; after every `size` of them, all others on the loop have their turn."""
    for number, item in enumerate(items, start=1):
        yield item
        if number % size == 0:
            await asyncio.sleep(0)


class News:
    """One bell: however often it is rung before somebody listens, it is heard once."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def tell(self) -> None:
        """Ring."""
        self._rung.set()

    async def heard(self) -> None:
        """Returns when it has been rung since the last time."""
        await self._rung.wait()
        self._rung.clear()

    async def pause(self, seconds: float) -> None:
        """Sleep for so long, or until it is rung."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.heard()


FAULTS = (Exception, asyncio.CancelledError)
"""What a collaborator may raise: CancelledError too, where an inner task of its own was cancelled and not we."""

LONGEST_CALL = 30.0
"""How long, in seconds, a call of a store or a log may hang before it is given up and made again."""


def end_if_cancelled() -> None:
    """Raise CancelledError where the running task was asked to end; to be called first where FAULTS are caught."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def plainly(fault: BaseException) -> str:
    """The fault's own words, or its name where it has none."""
    return str(fault) or type(fault).__name__
