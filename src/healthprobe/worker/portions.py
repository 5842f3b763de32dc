"""Portions: how a long list is gone through, so that nothing else on the loop waits for its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import TypeVar

PORTION = 100
"""The most items between two turns of the loop: to prepare so many new games takes two or three milliseconds."""

Item = TypeVar("Item")


async def in_portions(items: Iterable[Item], size: int = PORTION) -> AsyncIterator[Item]:
    """Each of `items` in order; after every `size` of them, all others on the loop have their turn."""
    for number, item in enumerate(items, start=1):
        yield item
        if number % size == 0:
            await asyncio.sleep(0)
