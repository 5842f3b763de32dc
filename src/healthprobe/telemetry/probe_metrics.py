"""What is told of probes: what they gave, how long they took, how late they began."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.metrics_core import Metric

from healthprobe.status.counters import Counters
from healthprobe.telemetry.metric_families import TICKS, counter, counters, histogram_family


def families_of_probing(tally: Counters) -> Iterator[Metric]:
    """The families of probes and of the ticks that they are made in."""
    yield from _outcomes(tally)
    yield histogram_family(
        "healthprobe_probe_duration_seconds",
        "How long probes took, whatever they gave, until the response's head or the failure.",
        tally.durations,
    )
    yield histogram_family(
        "healthprobe_probe_lateness_seconds", "How long after they were due probes began.", tally.lateness
    )
    yield histogram_family(
        "healthprobe_tick_duration_seconds",
        "How long ticks, each one pass over all running games, took.",
        tally.tick_durations,
        TICKS,
    )
    yield counter("healthprobe_ticks_total", "Ticks that ended.", tally.ticks)
    yield counter(
        "healthprobe_dropped_ticks_total",
        "Ticks that were not made because the one before was still under way.",
        tally.dropped_ticks,
    )


def _outcomes(tally: Counters) -> Iterator[Metric]:
    inconclusive = dict(tally.inconclusive)
    yield counters(
        "healthprobe_probes_total",
        "Probes by their outcome. An inconclusive one could not tell, through a fault of the prober's own.",
        "outcome",
        {"healthy": tally.healthy, "failed": tally.failed, "inconclusive": sum(inconclusive.values())},
    )
    yield counters(
        "healthprobe_probe_failures_total",
        "Failed probes by the kind of their failure.",
        "kind",
        {kind.value: count for kind, count in tally.failures.items()},
    )
    yield counters(
        "healthprobe_inconclusive_probes_total",
        "Inconclusive probes by their cause; causes beyond the first 16 are counted as other.",
        "cause",
        inconclusive,
    )
