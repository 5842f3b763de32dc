"""Metrics of probes: their outcomes, how long they took, how late they began."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.metrics_core import CounterMetricFamily, Metric

from healthprobe.status.counters import Counters
from healthprobe.telemetry.metric_families import TICK_BOUNDS, histogram_family, labelled_counter


def probe_families(counters: Counters) -> Iterator[Metric]:
    """Yields the families of probes and ticks."""
    yield from _outcomes(counters)
    yield histogram_family(
        "healthprobe_probe_duration_seconds",
        "Time from the start of a probe to the response's head or the failure.",
        counters.durations,
    )
    yield histogram_family(
        "healthprobe_probe_lateness_seconds", "How long after it was due a probe began.", counters.lateness
    )
    yield histogram_family(
        "healthprobe_tick_duration_seconds",
        "Duration of ticks, each one pass over all running games.",
        counters.tick_durations,
        TICK_BOUNDS,
    )
    yield CounterMetricFamily("healthprobe_ticks_total", "Ticks completed.", value=counters.ticks)
    yield CounterMetricFamily(
        "healthprobe_dropped_ticks_total",
        "Ticks dropped because the previous one was still running.",
        value=counters.dropped_ticks,
    )


def _outcomes(counters: Counters) -> Iterator[Metric]:
    inconclusive = dict(counters.inconclusive)
    yield labelled_counter(
        "healthprobe_probes_total",
        "Probes by outcome. An inconclusive probe says nothing about its engine: the fault is the prober's own.",
        "outcome",
        {"healthy": counters.healthy, "failed": counters.failed, "inconclusive": sum(inconclusive.values())},
    )
    yield labelled_counter(
        "healthprobe_probe_failures_total",
        "Failed probes by kind of failure.",
        "kind",
        {kind.value: count for kind, count in counters.failures.items()},
    )
    yield labelled_counter(
        "healthprobe_inconclusive_probes_total",
        "Inconclusive probes by cause; causes beyond the first 16 are counted as other.",
        "cause",
        inconclusive,
    )
