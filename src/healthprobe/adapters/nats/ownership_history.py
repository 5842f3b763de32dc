"""Which instance held each shard before, as far as the instances' documents say."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from healthprobe.adapters.nats.membership import BEATS_TO_LIVE
from healthprobe.domain.cluster import Cause, Instance, Takeover

_FROM_BEST_TO_WORST: tuple[Cause, ...] = ("start", "handed over", "expired")


class OwnershipHistory:
    """Remembers the last known holder of each shard, and when it was last known, in monotonic seconds.

    An instance that gives a shard back was known to hold it a moment ago; one whose lease expires was silent meanwhile.
    """

    def __init__(self, ourselves: str, *, monotonic: Callable[[], float], now: Callable[[], datetime]) -> None:
        self.last: Takeover | None = None
        self._ourselves = ourselves
        self._monotonic = monotonic
        self._now = now
        self._last_at = 0.0
        self._holders: dict[int, tuple[float, str]] = {}
        self._documents: Mapping[str, Instance] = {}

    def update(self, others: Iterable[Instance]) -> None:
        """Takes over the last documents of the others: what has changed in one is as of now."""
        now, documents = self._monotonic(), {each.instance: each for each in others}
        for name, document in documents.items():
            if document != self._documents.get(name):
                self._holders.update(dict.fromkeys(document.shards, (now, name)))
        self._documents = documents

    def lost(self, shards: Iterable[int], at: float) -> None:
        """Records that this instance held these until then."""
        self._holders.update(dict.fromkeys(shards, (at, self._ourselves)))

    def holders_of(self, shards: Iterable[int]) -> list[str]:
        """Returns the last known holders of these."""
        return sorted({self._holders[shard][1] for shard in shards if shard in self._holders})

    def took(self, shards: Collection[int], beat: float) -> Cause:
        """Records that this instance holds these now; returns how they came.

        What comes for one cause within a heartbeat is one takeover.
        """
        now = self._monotonic()
        cause = max((self._cause(shard, now, beat) for shard in shards), key=_FROM_BEST_TO_WORST.index)
        for shard in shards:
            self._holders.pop(shard, None)
        if self.last is not None and self.last.cause == cause and now < self._last_at + beat:
            self.last = replace(self.last, shards=self.last.shards + len(shards))
        else:
            self.last, self._last_at = Takeover(self._now(), len(shards), cause), now
        return cause

    def _cause(self, shard: int, now: float, beat: float) -> Cause:
        if shard not in self._holders:
            return "start"
        return "handed over" if now < self._holders[shard][0] + BEATS_TO_LIVE * beat else "expired"
