"""A made-up cluster of a few instances."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from healthprobe.domain.cluster import Instance, Takeover

JOINED = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)
TAKEN = datetime(2026, 11, 25, 9, 30, tzinfo=UTC)

FIRST = Instance(
    "node-a-17-c0ffee",
    "node-a",
    17,
    JOINED,
    order=1,
    shards=tuple(range(128)),
    oldest_renewal=0.9,
    newest_renewal=0.2,
    duties=("relay",),
    takeover=Takeover(TAKEN, 43, "expired"),
    games=60_123,
)
SECOND = Instance("node-b-9-decaf0", "node-b", 9, JOINED, order=2, shards=tuple(range(128, 256)), games=59_877)
BLIND = Instance("node-c-4-b11d00", "node-c", 4, JOINED, order=3, blind=True)


@dataclass(slots=True)
class FewInstances:
    """A Cluster over 256 shards, all of which are held."""

    instances: Sequence[Instance] = (FIRST, SECOND, BLIND)
    shard_count: int = 256
    silent_for: float = 0.25
