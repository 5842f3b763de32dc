"""News: that games or shards have changed, told from anywhere on the loop, heard between two probes."""

from __future__ import annotations

import asyncio
import contextlib


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
