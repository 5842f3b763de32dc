"""The sweep: one coarse timer for everything that must not stay silent, instead of a timer per probe."""

from __future__ import annotations

import asyncio
from typing import Protocol

PERIOD = 0.01
"""How coarse the sweep is, in seconds: nothing is swept early, and nothing later than two periods."""


class Sweepable(Protocol):
    """Something that waits, and wants to know when it has waited for too long."""

    def swept(self) -> None:
        """The time is over."""
        ...


class Sweep:
    """A wheel of buckets, each holding what ends within the same period."""

    __slots__ = ("_armed", "_buckets", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._buckets: dict[int, set[Sweepable]] = {}
        self._armed = False

    def watch(self, waiting: Sweepable, until: float) -> set[Sweepable]:
        """Sweep `waiting` at `until` of the loop's time, unless it is discarded from the returned bucket before."""
        index = int(until / PERIOD) + 1
        bucket = self._buckets.get(index)
        if bucket is None:
            bucket = self._buckets[index] = set()
            if not self._armed:
                self._armed = True
                self._loop.call_later(PERIOD, self._turn)
        bucket.add(waiting)
        return bucket

    def _turn(self) -> None:
        present = int(self._loop.time() / PERIOD)
        for index in sorted(index for index in self._buckets if index <= present):
            for waiting in list(self._buckets.pop(index)):
                waiting.swept()
        self._armed = bool(self._buckets)
        if self._armed:
            self._loop.call_later(PERIOD, self._turn)
