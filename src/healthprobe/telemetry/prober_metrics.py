"""What is told of the prober itself: whether it keeps up, whether its log takes what it is offered, what waits."""

from __future__ import annotations

import platform
from collections.abc import Iterator

from prometheus_client.metrics_core import InfoMetricFamily, Metric

from healthprobe._util.version import __version__
from healthprobe.status.run_status import RunStatus
from healthprobe.telemetry.metric_families import counter, counters, gauge, gauges, histogram_family


def families_of_prober(sight: RunStatus) -> Iterator[Metric]:
    """The families of the prober, its log, its relays and its store."""
    yield from _keeping_up(sight)
    yield from _doubts(sight)
    yield from _log(sight)
    yield from _relays(sight)
    tally = sight.tally
    yield counter(
        "healthprobe_listing_errors_total",
        "Times that the store could not list its records; the last good list stays in force.",
        tally.listing_errors,
    )
    yield gauge(
        "healthprobe_skipped_records", "Records of the last listing that could not be read.", tally.skipped_records
    )
    yield InfoMetricFamily(
        "healthprobe_build",
        "What runs here. The value is always 1.",
        value={"version": __version__, "python": platform.python_version()},
    )


def _keeping_up(sight: RunStatus) -> Iterator[Metric]:
    view, connections = sight.view, sight.connections
    yield gauge("healthprobe_interval_seconds", "How often each game is probed.", sight.config.interval)
    yield gauge(
        "healthprobe_tick_overdue_seconds",
        "For how long the present tick should have been over, or the next begun; 0 while all is well.",
        view.tick_overdue_for,
    )
    yield gauge("healthprobe_lanes_in_use", "Probes of the present tick that are in flight.", view.lanes_in_use)
    yield gauge("healthprobe_lanes_limit", "How many probes may be in flight in the present tick.", view.lane_limit)
    yield gauge("healthprobe_connections_open", "Open connections to engines.", connections.open_connections)
    yield gauge("healthprobe_connections_limit", "How many connections may be open.", connections.capacity)


def _doubts(sight: RunStatus) -> Iterator[Metric]:
    view = sight.view
    yield gauge(
        "healthprobe_blind_seconds",
        "For how long no canary answers, so that no failure counts; 0 while one does.",
        view.blind_for,
    )
    yield gauge(
        "healthprobe_decisions_held", "Decisions of a mass failure that wait to be proven.", view.held_decisions
    )
    yield gauge(
        "healthprobe_games_flapping",
        "Games that are kept in their incident, for they go up and down.",
        view.flapping_games,
    )
    yield gauge("healthprobe_games_silenced", "Games of which nothing is told for a time.", sight.silenced)


def _log(sight: RunStatus) -> Iterator[Metric]:
    yield histogram_family(
        "healthprobe_log_append_duration_seconds",
        "How long the log took for each append of one or more health events.",
        sight.tally.appends,
    )
    yield gauge(
        "healthprobe_transitions_waiting", "Transitions that the log does not have yet.", len(sight.view.waiting)
    )
    yield gauge(
        "healthprobe_log_away_seconds",
        "For how long the log has not taken what it was offered; 0 while it does.",
        sight.view.log_away_for,
    )


def _relays(sight: RunStatus) -> Iterator[Metric]:
    lag, parked = sight.tally.lag, sight.tally.parked
    yield gauges(
        "healthprobe_relay_lag_events",
        "Events of the log that have not reached the publisher yet.",
        ("publisher",),
        [((publisher,), events) for publisher, events in lag.items()],
    )
    yield counters(
        "healthprobe_relay_parked_events_total",
        "Events that the publisher refused for good; they are kept as dead letters.",
        "publisher",
        # A series that begins at 1 has no increase: what was never parked is told of as well.
        {**dict.fromkeys(lag, 0), **parked},
    )
