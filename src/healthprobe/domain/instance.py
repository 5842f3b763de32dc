"""The instance: one of those that share a fleet, as it tells the others of itself."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

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
