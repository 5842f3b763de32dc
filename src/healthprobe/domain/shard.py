"""Shards: the fixed slices of all game ids, and how instances share them. Every instance computes the same."""

from __future__ import annotations

from dataclasses import dataclass
from zlib import crc32

SHARDS = 256
"""How many there are, where nobody has asked for another number. It never changes: the log keeps events under them."""

MOST_SHARDS = 4096

_GOLDEN_RATIO = 0x9E3779B1
"""Multiplied by it, each bit of a checksum moves the highest ones: ids that differ little land far apart."""

_32_BITS = 0xFFFFFFFF


def shard_of(game_id: str, shards: int = SHARDS) -> int:
    """The shard of a game, of so many from 0 on: its own in every process and version, evenly spread over all ids.

    It says nothing about the game's phase (`schedule.fraction_of`), so that each shard's probes spread over a tick.

    A listing of a million games is cut by it at every change, so it is cheap: 0.2 us.

    >>> shard_of("game-7")
    224
    >>> shard_of("game-7", 16)
    14
    """
    return (crc32(game_id.encode("utf-8", "surrogatepass")) * _GOLDEN_RATIO & _32_BITS) * shards >> 32


@dataclass(frozen=True, slots=True)
class Slice:
    """Part `number` of `count` equal parts of all shards: what one of so many fixed instances probes.

    Raises ValueError for numbers that are no such part.

    >>> len(Slice(2, 5).shards)
    51
    """

    number: int
    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.count <= SHARDS:
            raise ValueError(
                f"{self.number}/{self.count} is no part of a fleet: write one such as 2/5, in at most {SHARDS} parts"
            )

    @property
    def shards(self) -> frozenset[int]:
        return frozenset(range(self.number - 1, SHARDS, self.count))


def fair_share(position: int, instances: int, shards: int = SHARDS) -> int:
    """How many shards the instance that came as number `position` (from 0) of so many `instances` holds.

    All shares together are all shards, and no two differ by more than one. One more instance at the end makes nobody's
    share larger, one less anywhere makes nobody's smaller: only shards that must move, move.

    >>> [fair_share(position, 3) for position in range(3)]
    [86, 85, 85]
    """
    whole, rest = divmod(shards, instances)
    return whole + (position < rest)
