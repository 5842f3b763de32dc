"""Metric families of Prometheus: counters and gauges with at most one label, and histograms in few buckets."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from healthprobe.status.counters import BOUNDS, Histogram


def counter(name: str, documentation: str, value: float) -> CounterMetricFamily:
    """A counter of one value. `name` ends in `_total`."""
    return CounterMetricFamily(name, documentation, value=value)


def counters(name: str, documentation: str, label: str, values: Mapping[str, float]) -> CounterMetricFamily:
    """A counter with a series for each of `values`, told apart by `label`."""
    family = CounterMetricFamily(name, documentation, labels=[label])
    for named, value in values.items():
        family.add_metric([written(named)], value)
    return family


def gauge(name: str, documentation: str, value: float | None) -> GaugeMetricFamily:
    """A gauge of one value; with None the family is known and has no series."""
    return gauges(name, documentation, (), [] if value is None else [((), value)])


def gauges(
    name: str, documentation: str, labels: tuple[str, ...], values: Iterable[tuple[tuple[str, ...], float]]
) -> GaugeMetricFamily:
    """A gauge with a series for each of `values`: what its `labels` say, and the value."""
    family = GaugeMetricFamily(name, documentation, labels=labels)
    for named, value in values:
        family.add_metric([written(each) for each in named], value)
    return family


def written(text: str) -> str:
    """`text` as a label's value. Half a surrogate pair, which no UTF-8 can hold, must not cost the whole scrape."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


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
