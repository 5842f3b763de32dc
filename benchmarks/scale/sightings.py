"""The sightings: when imaginary engines were probed, in a file that all processes of a measurement map."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Self

_SINCE, _FAILING, _INSTANCES, _PLACES = 0, 1, 2, 16
_PER_INSTANCE = 2
_WIDTH = struct.calcsize("d")


class Sightings:
    """For each game, by number, the first probe after `since`; times are monotonic seconds, the same in all processes.

    What instances report of themselves, and what engines have to do, is at the start of the same file. Each
    place has one writer, so nothing is locked.
    """

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 0)
        self._all = memoryview(self._map).cast("d")
        self._front = self._all[:_PLACES]
        self.times = self._all[_PLACES:]

    @classmethod
    def made(cls, path: Path, games: int) -> Self:
        """Creates them at `path`, for games without probes."""
        path.write_bytes(bytes(_WIDTH * (_PLACES + games)))
        return cls(path)

    def note(self, number: int, now: float) -> None:
        """The game was probed."""
        if self.times[number] < self._front[_SINCE]:
            self.times[number] = now

    @property
    def since(self) -> float:
        return self._front[_SINCE]

    @since.setter
    def since(self, now: float) -> None:
        self._front[_SINCE] = now

    @property
    def failing(self) -> int:
        """Each so many-th engine answers 503; 0 for none."""
        return int(self._front[_FAILING])

    @failing.setter
    def failing(self, every: int) -> None:
        self._front[_FAILING] = every

    def missing(self) -> int:
        """How many games were not probed since."""
        since = self.since
        return sum(time < since for time in self.times)

    def after(self, numbers: Iterable[int]) -> list[float]:
        """How long after `since` each of these was probed, in ascending order."""
        since = self.since
        return sorted(self.times[number] - since for number in numbers)

    def report(self, instance: int, games: int, unread: int) -> None:
        """Reports that `instance`, from 0, watches `games`, of which `unread` are not read back from the log yet."""
        place = _INSTANCES + instance * _PER_INSTANCE
        self._front[place], self._front[place + 1] = games, unread

    def reported(self, instance: int) -> tuple[int, int]:
        """Returns the last report of that instance."""
        place = _INSTANCES + instance * _PER_INSTANCE
        return int(self._front[place]), int(self._front[place + 1])
