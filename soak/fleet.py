"""The fleet: the games of a records file, the oldest of which are replaced all the time."""

from __future__ import annotations

import json
import os
from collections import deque
from pathlib import Path
from random import Random

from benchmarks.engines import Engines

_REFUSING = 0.01
"""The share of games whose port refuses every connection."""


class Fleet:
    """`size` games, each with an address of its own. `closed` is a port without a listener."""

    def __init__(self, path: Path, port: int, closed: int, size: int, seed: int) -> None:
        self.replaced = 0
        self._path = path
        self._engines = (Engines("soak", port), Engines("closed", closed))
        self._random = Random(seed)
        self._count = 0
        self._games: deque[dict[str, str]] = deque()
        self._debt = 0.0
        for _ in range(size):
            self._games.append(self._new_game())
        self.write()

    def __len__(self) -> int:
        return len(self._games)

    def replace(self, share: float) -> None:
        """Replaces this share of the games, the oldest first. Fractions add up over calls."""
        self._debt += share * len(self._games)
        for _ in range(int(self._debt)):
            self._games.popleft()
            self._games.append(self._new_game())
            self.replaced += 1
        self._debt -= int(self._debt)
        self.write()

    def write(self) -> None:
        """Writes the file atomically."""
        draft = self._path.with_suffix(".draft")
        draft.write_text(json.dumps(list(self._games)))
        os.replace(draft, self._path)  # noqa: PTH105  atomic on the same file system

    def _new_game(self) -> dict[str, str]:
        number, self._count = self._count, self._count + 1
        engines = self._engines[self._random.random() < _REFUSING]
        return {
            "game_id": f"game-{number}",
            "current_container_id": f"container-{number}",
            "engine_endpoint": engines.endpoint(number),
            "status": "running",
        }
