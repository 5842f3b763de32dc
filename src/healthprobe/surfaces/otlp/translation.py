"""The translation: Prometheus' families as OpenTelemetry's metrics, so that each is defined once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby, pairwise
from typing import cast

from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.metrics.export import Histogram as HistogramData
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.samples import Sample

_CUMULATIVE = AggregationTemporality.CUMULATIVE
_UNITS = {"_seconds": "s", "_bytes": "By"}
_UNKNOWN = cast("float", None)
"""The least and the greatest time of a histogram: OTLP knows them as optional, and the class's types do not."""


class Translation:
    """Translates the metrics of a run of `resource` that counts since `started`, in nanoseconds of wall time."""

    def __init__(self, resource: Resource, scope: InstrumentationScope, started: int) -> None:
        self._resource = resource
        self._scope = scope
        self._started = started

    def of(self, families: Iterable[Family], now: int) -> MetricsData:
        """All `families` that have something to tell, as they are `now`, in nanoseconds of wall time."""
        metrics = [self._metric(family, now) for family in families if family.samples]
        scoped = ScopeMetrics(self._scope, metrics, "")
        return MetricsData([ResourceMetrics(self._resource, [scoped], "")])

    def _metric(self, family: Family, now: int) -> Metric:
        unit = next((unit for suffix, unit in _UNITS.items() if family.name.endswith(suffix)), "")
        return Metric(family.name, family.documentation, unit, self._data(family, now))

    def _data(self, family: Family, now: int) -> Sum | Gauge | HistogramData:
        if family.type == "histogram":
            return HistogramData(list(self._histograms(family, now)), _CUMULATIVE)
        points = [
            NumberDataPoint(sample.labels, self._started, now, float(sample.value))
            for sample in family.samples
            if not sample.name.endswith("_created")
        ]
        return Sum(points, _CUMULATIVE, is_monotonic=True) if family.type == "counter" else Gauge(points)

    def _histograms(self, family: Family, now: int) -> Iterator[HistogramDataPoint]:
        for labels, samples in groupby(family.samples, _labels_of_series):
            told = list(samples)
            buckets = [sample for sample in told if "le" in sample.labels]
            totals = [0, *(int(sample.value) for sample in buckets)]
            yield HistogramDataPoint(
                attributes=dict(labels),
                start_time_unix_nano=self._started,
                time_unix_nano=now,
                count=totals[-1],
                sum=next(sample.value for sample in told if sample.name.endswith("_sum")),
                bucket_counts=[after - before for before, after in pairwise(totals)],
                explicit_bounds=[float(sample.labels["le"]) for sample in buckets[:-1]],
                min=_UNKNOWN,
                max=_UNKNOWN,
            )


def _labels_of_series(sample: Sample) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in sample.labels.items() if name != "le")
