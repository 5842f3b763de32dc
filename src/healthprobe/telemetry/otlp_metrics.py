"""Converts Prometheus metric families to OTLP metrics."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby, pairwise
from typing import cast

from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.samples import Sample

_CUMULATIVE = AggregationTemporality.CUMULATIVE
_UNITS = {"_seconds": "s", "_bytes": "By"}
_UNKNOWN = cast("float", None)
"""The least and the greatest time of a histogram: optional in OTLP, but not in the types of the class."""


def metrics_data(
    families: Iterable[Family], resource: Resource, scope: InstrumentationScope, started: int, now: int
) -> MetricsData:
    """Returns all `families` that have samples, counted from `started` to `now` in nanoseconds of wall time."""
    metrics = [
        Metric(family.name, family.documentation, _unit(family.name), _data(family, started, now))
        for family in families
        if family.samples
    ]
    return MetricsData([ResourceMetrics(resource, [ScopeMetrics(scope, metrics, "")], "")])


def _unit(name: str) -> str:
    return next((unit for suffix, unit in _UNITS.items() if name.endswith(suffix)), "")


def _data(family: Family, started: int, now: int) -> Sum | Gauge | Histogram:
    if family.type == "histogram":
        return Histogram(list(_histogram_points(family, started, now)), _CUMULATIVE)
    points = [
        NumberDataPoint(sample.labels, started, now, float(sample.value))
        for sample in family.samples
        if not sample.name.endswith("_created")
    ]
    return Sum(points, _CUMULATIVE, is_monotonic=True) if family.type == "counter" else Gauge(points)


def _histogram_points(family: Family, started: int, now: int) -> Iterator[HistogramDataPoint]:
    for labels, group in groupby(family.samples, _labels_of_series):
        samples = list(group)
        buckets = [sample for sample in samples if "le" in sample.labels]
        totals = [0, *(int(sample.value) for sample in buckets)]
        yield HistogramDataPoint(
            attributes=dict(labels),
            start_time_unix_nano=started,
            time_unix_nano=now,
            count=totals[-1],
            sum=next(sample.value for sample in samples if sample.name.endswith("_sum")),
            bucket_counts=[after - before for before, after in pairwise(totals)],
            explicit_bounds=[float(sample.labels["le"]) for sample in buckets[:-1]],
            min=_UNKNOWN,
            max=_UNKNOWN,
        )


def _labels_of_series(sample: Sample) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in sample.labels.items() if name != "le")
