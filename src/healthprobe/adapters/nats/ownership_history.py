"""Takeovers: from whom shards came, as far as that can be known from what the instances told."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from healthprobe.adapters.nats.membership import BEATS_TO_LIVE
from healthprobe.domain.cluster import Cause, Instance, Takeover

_FROM_BEST_TO_WORST: tuple[Cause, ...] = ("start", "handed over", "expired")


class Takeovers:
    """Remembers whose each shard was last told to be, and when, in monotonic seconds. We are `ourselves`.

    Whoever gives a shard back told a moment ago that it had it. Whoever let its lease lapse told nothing meanwhile.
    """

    def __init__(self, ourselves: str, *, monotonic: Callable[[], float], now: Callable[[], datetime]) -> None:
        self.last: Takeover | None = None
        self._ourselves = ourselves
        self._monotonic = monotonic
        self._now = now
        self._last_at = 0.0
        self._had: dict[int, tuple[float, str]] = {}
        self._heard: Mapping[str, Instance] = {}

    def heed(self, others: Iterable[Instance]) -> None:
        """Each of these told this last, now or long ago: what is new in it is new now."""
        now, heard = self._monotonic(), {each.instance: each for each in others}
        for name, each in heard.items():
            if each != self._heard.get(name):
                self._had.update(dict.fromkeys(each.shards, (now, name)))
        self._heard = heard

    def lost(self, shards: Iterable[int], at: float) -> None:
        """We had these ourselves, until then."""
        self._had.update(dict.fromkeys(shards, (at, self._ourselves)))

    def holders_of(self, shards: Iterable[int]) -> list[str]:
        """Who was last known to have these."""
        return sorted({self._had[shard][1] for shard in shards if shard in self._had})

    def took(self, shards: Collection[int], beat: float) -> Cause:
        """We have these now; how they came. What comes for one reason within a beat is one takeover."""
        now = self._monotonic()
        cause = max((self._cause(shard, now, beat) for shard in shards), key=_FROM_BEST_TO_WORST.index)
        for shard in shards:
            self._had.pop(shard, None)
        if self.last is not None and self.last.cause == cause and now < self._last_at + beat:
            self.last = replace(self.last, shards=self.last.shards + len(shards))
        else:
            self.last, self._last_at = Takeover(self._now(), len(shards), cause), now
        return cause

    def _cause(self, shard: int, now: float, beat: float) -> Cause:
        if shard not in self._had:
            return "start"
        return "handed over" if now < self._had[shard][0] + BEATS_TO_LIVE * beat else "expired"
