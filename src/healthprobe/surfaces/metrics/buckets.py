"""The buckets: a fine histogram told in the few buckets that a scrape can afford, without a count in the wrong one."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate

from prometheus_client.metrics_core import HistogramMetricFamily

from healthprobe.surfaces.histogram import BOUNDS, Histogram

_STEP = 4
"""Every fourth fine bound is told: each is 1.6 times the one before, which leaves a quantile within a quarter."""


def _chosen(least: float, most: float) -> Sequence[int]:
    """The places of the fine bounds that are told, from the last below `least` to the first beyond `most` seconds.

    A round bound would lie inside a fine bucket, and nobody knows on which side of it a time in there was.
    """
    last = min(bisect_left(BOUNDS, most) + _STEP, len(BOUNDS))
    return range(max(bisect_left(BOUNDS, least) - 1, 0), last, _STEP)


TIMES = _chosen(0.0005, 10.0)
"""For probes, lateness and appends: 0.5 ms to 10 s."""

TICKS = _chosen(0.005, 60.0)
"""For ticks, which may last as long as an interval: 5 ms to a minute and more."""


def histogram_family(
    name: str, documentation: str, histogram: Histogram, bounds: Sequence[int] = TIMES
) -> HistogramMetricFamily:
    """The family of `histogram`, in seconds. Its sum is an estimate, and its HELP says so."""
    totals = tuple(accumulate(histogram.counts))
    told = [(f"{BOUNDS[place]:.4g}", float(totals[place])) for place in bounds]
    return HistogramMetricFamily(
        name,
        f"{documentation} The sum is estimated from buckets an eighth wide.",
        buckets=[*told, ("+Inf", float(totals[-1]))],
        sum_value=histogram.estimated_sum,
    )
