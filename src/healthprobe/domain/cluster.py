"""Leases and instances: the pure rules of a fleet that several processes share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal


@dataclass(frozen=True, slots=True)
class Lease:
    """A shard that was given to us at `acquired_at` and lasts for `lasts` seconds from its last renewal.

    All times are monotonic seconds. `renewed_at` is when the last renewal that was confirmed was *sent*: whoever gives
    leases counts from when it came, which is later, so that we let go before anybody else is given the shard.

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
        """Whether the shard was ours from `started` on, and still is: only then does a probe's outcome count."""
        return self.acquired_at <= started and self.is_valid(now)

    def renewed(self, sent_at: float) -> Lease:
        """The lease after a renewal that was sent at `sent_at` was confirmed."""
        return replace(self, renewed_at=max(sent_at, self.renewed_at))


Cause = Literal["start", "handed over", "expired"]
"""How shards came: nobody was known to have them, or somebody gave them back, or their lease was not renewed."""


@dataclass(frozen=True, slots=True)
class Takeover:
    """So many shards were taken over, at wall time in UTC."""

    at: datetime
    shards: int
    cause: Cause


@dataclass(frozen=True, slots=True)
class Instance:
    """What an instance tells of itself.

    `order` grows with the order of joining. `epochs` are those of its claims to `shards`, in their order. Renewals are
    the ages, in seconds, of the oldest and the newest renewal of its leases. `duties_since` grows with the order in
    which instances took over the duties, and is 0 without any. A `blind` one sees nothing, and is to have no shards as
    long as others see. `rule` is what it watches, by what it judges and whom it tells, as options, and empty where it
    does not say.
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
        """The same, with `place` where a place is not known yet: told there for the first time."""
        since = (self.duties_since or place) if self.duties else 0
        return replace(self, order=self.order or place, duties_since=since)


def unwatched_shards(instances: Iterable[Instance], shards: int) -> int:
    """How many of all `shards` none of these instances holds.

    >>> unwatched_shards([], 256)
    256
    """
    return shards - len({shard for each in instances for shard in each.shards})
