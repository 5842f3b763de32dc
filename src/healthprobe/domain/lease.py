"""The lease: until when a shard is ours, by our own clock, and which outcomes count under it."""

from __future__ import annotations

from dataclasses import dataclass, replace


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
