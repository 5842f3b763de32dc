"""Metrics of the prober itself: its ticks, lanes and connections, its log, its publishers and its store."""

from __future__ import annotations

import platform
from collections.abc import Iterator

from prometheus_client.metrics_core import CounterMetricFamily, InfoMetricFamily, Metric

from healthprobe._util.version import __version__
from healthprobe.status.run_status import RunStatus
from healthprobe.telemetry.metric_families import gauge, histogram_family, labelled_counter, labelled_gauge


def prober_families(status: RunStatus) -> Iterator[Metric]:
    """Yields the families of the prober, its log, its publishers and its store."""
    yield from _schedule(status)
    yield from _suppression(status)
    yield from _log(status)
    yield from _publishers(status)
    yield CounterMetricFamily(
        "healthprobe_listing_errors_total",
        "Failed listings of the store; the last good list stays in force.",
        value=status.counters.listing_errors,
    )
    yield gauge(
        "healthprobe_skipped_records",
        "Records of the last listing that could not be parsed.",
        status.counters.skipped_records,
    )
    yield InfoMetricFamily(
        "healthprobe_build",
        "Version of healthprobe and of Python. The value is always 1.",
        value={"version": __version__, "python": platform.python_version()},
    )


def _schedule(status: RunStatus) -> Iterator[Metric]:
    worker, connections = status.worker, status.connections
    yield gauge("healthprobe_interval_seconds", "Interval between two probes of a game.", status.config.interval)
    yield gauge(
        "healthprobe_tick_overdue_seconds",
        "How long the current tick is overdue, or the start of the next; 0 if neither is.",
        worker.tick_overdue_for,
    )
    yield gauge("healthprobe_lanes_in_use", "Probes in flight in the current tick.", worker.lanes_in_use)
    yield gauge(
        "healthprobe_lanes_limit",
        "Maximum number of probes in flight; 0 between ticks.",
        worker.lane_limit,
    )
    yield gauge("healthprobe_connections_open", "Open connections to engines.", connections.open_connections)
    yield gauge("healthprobe_connections_limit", "Maximum number of open connections to engines.", connections.capacity)


def _suppression(status: RunStatus) -> Iterator[Metric]:
    worker = status.worker
    yield gauge(
        "healthprobe_blind_seconds",
        "How long no canary has answered, so that no failure is counted; 0 while one answers.",
        worker.blind_for,
    )
    yield gauge(
        "healthprobe_decisions_held",
        "Transitions that are held in a mass failure until they are confirmed.",
        worker.held_decisions,
    )
    yield gauge(
        "healthprobe_games_flapping",
        "Games that stay in their incident because they fail and recover repeatedly.",
        worker.flapping_games,
    )
    yield gauge("healthprobe_games_silenced", "Games whose alarms are silenced now.", status.silenced)


def _log(status: RunStatus) -> Iterator[Metric]:
    yield histogram_family(
        "healthprobe_log_append_duration_seconds",
        "Duration of appends of one or more health events to the log.",
        status.counters.appends,
    )
    yield gauge(
        "healthprobe_transitions_waiting", "Transitions waiting to be written to the log.", len(status.worker.waiting)
    )
    yield gauge(
        "healthprobe_log_away_seconds",
        "How long the log has been unavailable for writing; 0 while it is available.",
        status.worker.log_away_for,
    )
    yield gauge(
        "healthprobe_transition_wait_seconds",
        "How long the oldest transition has waited to be written to the log; 0 if none waits.",
        status.worker.longest_wait,
    )
    yield gauge(
        "healthprobe_games_set_aside",
        "Games that the log cannot hold: their transitions are kept, and tried again once a minute.",
        len(status.worker.set_aside),
    )


def _publishers(status: RunStatus) -> Iterator[Metric]:
    lag, parked, failing = status.counters.lag, status.counters.parked, status.counters.failing
    yield labelled_gauge(
        "healthprobe_relay_lag_events",
        "Events of the log that are not delivered to the publisher yet.",
        ("publisher",),
        [((publisher,), events) for publisher, events in lag.items()],
    )
    yield labelled_counter(
        "healthprobe_relay_parked_events_total",
        "Events that the publisher refused for good, which are kept as dead letters where the log can hold them.",
        "publisher",
        # A series that begins at 1 has no increase, so publishers without a dead letter have one, too.
        {**dict.fromkeys(lag, 0), **parked},
    )
    yield labelled_counter(
        "healthprobe_relay_altered_events_total",
        "Events that the publisher does not get, because another program altered them in the log.",
        "publisher",
        {**dict.fromkeys(lag, 0), **status.counters.altered},
    )
    yield labelled_gauge(
        "healthprobe_relay_failing",
        "1 while delivery to the publisher fails and is tried again. The code is that of its answer, or empty.",
        ("publisher", "code"),
        [
            ((publisher, failing.get(publisher, ("", ""))[1]), int(publisher in failing))
            for publisher in {**lag, **failing}
        ],
    )
