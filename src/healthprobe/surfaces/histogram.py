"""The histogram: how many times fell into which bucket. Recording is one bisection and one addition."""

from __future__ import annotations

from bisect import bisect_left
from itertools import pairwise
from operator import mul

_FIRST_BOUND = 50e-6
_BOUND_STEP = 1.125
_BOUND_COUNT = 128

BOUNDS = tuple(_FIRST_BOUND * _BOUND_STEP**step for step in range(_BOUND_COUNT))
"""Upper bounds of the histograms' buckets, in seconds: 50 us to 157 s, each an eighth above the one before."""

_MIDDLES = (_FIRST_BOUND / 2, *((low + high) / 2 for low, high in pairwise(BOUNDS)), BOUNDS[-1])


class Histogram:
    """Counts of times by bucket: a quantile is read to within an eighth of its value."""

    __slots__ = ("counts",)

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)

    def record(self, seconds: float) -> None:
        self.counts[bisect_left(BOUNDS, seconds)] += 1

    @property
    def estimated_sum(self) -> float:
        """All times together, in seconds, as if each lay in the middle of its bucket: to within a sixteenth.

        Kept nowhere, for what counts probes adds integers alone. It never falls.
        """
        return float(sum(map(mul, self.counts, _MIDDLES)))

    def quantile(self, share: float) -> float | None:
        """A time in seconds that `share` of all times do not exceed; None where there are none yet."""
        total = sum(self.counts)
        if total == 0:
            return None
        seen = 0
        for bound, count in zip(BOUNDS, self.counts, strict=False):
            seen += count
            if seen >= share * total:
                return bound
        return BOUNDS[-1]
