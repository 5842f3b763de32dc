"""A timer wheel: one coarse timer for all deadlines of a loop, instead of a timer per probe."""

from __future__ import annotations

import asyncio
from typing import Protocol

PERIOD = 0.01
"""The resolution in seconds: nothing expires early, and nothing later than two periods."""


class Expiring(Protocol):
    """Something with a deadline."""

    def on_deadline(self) -> None: ...


class TimerWheel:
    """Buckets of what expires within the same period."""

    __slots__ = ("_buckets", "_is_armed", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._buckets: dict[int, set[Expiring]] = {}
        self._is_armed = False

    def add(self, expiring: Expiring, deadline: float) -> set[Expiring]:
        """Calls `on_deadline` at the loop's time `deadline`, unless it is discarded from the returned bucket before."""
        index = int(deadline / PERIOD) + 1
        bucket = self._buckets.get(index)
        if bucket is None:
            bucket = self._buckets[index] = set()
            if not self._is_armed:
                self._is_armed = True
                self._loop.call_later(PERIOD, self._turn)
        bucket.add(expiring)
        return bucket

    def _turn(self) -> None:
        now = int(self._loop.time() / PERIOD)
        for index in sorted(index for index in self._buckets if index <= now):
            for expiring in list(self._buckets.pop(index)):
                expiring.on_deadline()
        self._is_armed = bool(self._buckets)
        if self._is_armed:
            self._loop.call_later(PERIOD, self._turn)
