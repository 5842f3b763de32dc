"""Leases and instances: the rules of a fleet that several processes share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to a shard, acquired at `acquired_at` and valid for `lasts` seconds after its last renewal.

    All times are monotonic seconds. `renewed_at` is when the last confirmed renewal was *sent*. The server counts from
    when it arrived, which is later, so the holder lets go before another instance can be given the shard.

    >>> Lease(acquired_at=10.0, renewed_at=12.0, lasts=5.0).is_valid(now=16.9)
    True
    >>> Lease(acquired_at=10.0, renewed_at=12.0, lasts=5.0).covers(started=9.9, now=13.0)
    False
    """

    acquired_at: float
    renewed_at: float
    lasts: float

    @property
    def ends_at(self) -> float:
        return self.renewed_at + self.lasts

    def is_valid(self, now: float) -> bool:
        return now < self.ends_at

    def covers(self, started: float, now: float) -> bool:
        """Returns whether the lease was held from `started` to `now`: only then does a probe's outcome count."""
        return self.acquired_at <= started and self.is_valid(now)

    def renewed(self, sent_at: float) -> Lease:
        """Returns the lease after a renewal sent at `sent_at` was confirmed."""
        return replace(self, renewed_at=max(sent_at, self.renewed_at))


Cause = Literal["start", "handed over", "expired"]
"""Why shards were free: no instance was known to hold them, one gave them back, or their lease was not renewed."""


@dataclass(frozen=True, slots=True)
class Takeover:
    """A number of shards taken over at a wall time in UTC."""

    at: datetime
    shards: int
    cause: Cause


@dataclass(frozen=True, slots=True)
class Instance:
    """What an instance publishes about itself.

    `order` grows with the order of joining. `epochs` are those of its claims to `shards`, in the same order. The
    renewals are the ages, in seconds, of the oldest and the newest renewal of its leases. `duties_since` grows with
    the order in which instances took over the duties, and is 0 without any. A `blind` instance reaches no canary; it
    gets no shards as long as another instance sees. `rule` holds its options for records, verdict and publishers, or
    is empty if it publishes none.
    """

    instance: str
    host: str
    pid: int
    started_at: datetime
    order: int = 0
    shards: tuple[int, ...] = ()
    epochs: tuple[int, ...] = ()
    oldest_renewal: float | None = None
    newest_renewal: float | None = None
    duties: tuple[str, ...] = ()
    duties_since: int = 0
    takeover: Takeover | None = None
    games: int = 0
    blind: bool = False
    rule: str = ""

    def placed(self, place: int) -> Instance:
        """Returns the instance with `place` as its order and as the start of its duties, unless they are known."""
        since = (self.duties_since or place) if self.duties else 0
        return replace(self, order=self.order or place, duties_since=since)


def unwatched_shards(instances: Iterable[Instance], shards: int) -> int:
    """Returns how many of all `shards` none of these instances holds.

    >>> unwatched_shards([], 256)
    256
    """
    return shards - len({shard for each in instances for shard in each.shards})
