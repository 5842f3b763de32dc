"""The settling: what is decided about shards is to be in the log before they are given away."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

Settle = Callable[[frozenset[int]], Awaitable[None]]

_SETTLE_WITHIN = 1.0


class Settling:
    """Those who have something to settle. One that fails, or takes longer than a second, is told of and left behind."""

    def __init__(self, logger: Any) -> None:
        self._logger = logger
        self._settles: list[Settle] = []

    def add(self, settle: Settle) -> None:
        """Await `settle` with the shards that leave, from now on."""
        self._settles.append(settle)

    async def of(self, shards: frozenset[int]) -> None:
        """Settle what concerns these shards. Raises nothing: whoever settles must not keep them from the others."""
        for settle in self._settles if shards else ():
            try:
                async with asyncio.timeout(_SETTLE_WITHIN):
                    await settle(shards)
            except Exception as error:  # noqa: BLE001  whatever it is
                self._logger.warning("shards are given away unsettled", shards=len(shards), err=repr(error))
