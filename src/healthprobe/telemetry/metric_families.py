"""Builds Prometheus metric families: counters, gauges, and histograms with few buckets."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from healthprobe.status.counters import BOUNDS, Histogram


def labelled_counter(name: str, documentation: str, label: str, values: Mapping[str, float]) -> CounterMetricFamily:
    """Returns a counter with a series for each of `values`, by its `label`."""
    family = CounterMetricFamily(name, documentation, labels=[label])
    for label_text, value in values.items():
        family.add_metric([label_value(label_text)], value)
    return family


def gauge(name: str, documentation: str, value: float | None) -> GaugeMetricFamily:
    """Returns a gauge of one value, or without series if `value` is None."""
    return labelled_gauge(name, documentation, (), [] if value is None else [((), value)])


def labelled_gauge(
    name: str, documentation: str, labels: tuple[str, ...], values: Iterable[tuple[tuple[str, ...], float]]
) -> GaugeMetricFamily:
    """Returns a gauge with a series for each of `values`: the values of its `labels`, and its own."""
    family = GaugeMetricFamily(name, documentation, labels=labels)
    for label_texts, value in values:
        family.add_metric([label_value(each) for each in label_texts], value)
    return family


def label_value(text: str) -> str:
    """Returns `text` in valid UTF-8: a lone surrogate in one label must not fail the whole scrape."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


_STEP = 4
"""Every fourth bound is exported: each is 1.6 times the one before, which leaves a quantile exact to a quarter."""


def _exported_bounds(least: float, most: float) -> Sequence[int]:
    """Returns the indexes of the exported bounds, from the last below `least` to the first above `most` seconds.

    Round bounds would lie inside a bucket, whose times could not be divided between the two sides.
    """
    last = min(bisect_left(BOUNDS, most) + _STEP, len(BOUNDS))
    return range(max(bisect_left(BOUNDS, least) - 1, 0), last, _STEP)


PROBE_BOUNDS = _exported_bounds(0.0005, 10.0)
"""For probes, lateness and appends: 0.5 ms to 10 s."""

TICK_BOUNDS = _exported_bounds(0.005, 60.0)
"""For ticks, which may last as long as an interval: 5 ms to a minute and more."""


def histogram_family(
    name: str, documentation: str, histogram: Histogram, bounds: Sequence[int] = PROBE_BOUNDS
) -> HistogramMetricFamily:
    """Returns the family of `histogram`, in seconds. The sum is an estimate, as its HELP says."""
    totals = tuple(accumulate(histogram.counts))
    buckets = [(f"{BOUNDS[index]:.4g}", float(totals[index])) for index in bounds]
    return HistogramMetricFamily(
        name,
        f"{documentation} The sum is an estimate, exact to within a sixteenth.",
        buckets=[*buckets, ("+Inf", float(totals[-1]))],
        sum_value=histogram.estimated_sum,
    )
