"""Simple families: counters and gauges, of one value or of one a label."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily


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
