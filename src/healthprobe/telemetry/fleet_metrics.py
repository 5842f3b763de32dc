"""Metrics of the fleet and of the cluster."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from prometheus_client.metrics_core import Metric

from healthprobe.domain.cluster import unwatched_shards
from healthprobe.domain.endpoint import Endpoint
from healthprobe.domain.fleet_status import Condition
from healthprobe.status.label_counts import MOST_VALUES, OTHER
from healthprobe.status.run_status import RunStatus
from healthprobe.telemetry.metric_families import gauge, labelled_counter, labelled_gauge

MAX_GAME_SERIES = 1_000
"""How many games have a series of their own at most, so that a whole fleet that is down does not flood Prometheus."""


def fleet_families(status: RunStatus) -> Iterator[Metric]:
    """Yields the families of games and incidents, as old as the last refresh of `status`."""
    yield _games(status)
    watched = status.worker.target_set.by_id
    yield gauge(
        "healthprobe_open_incidents",
        "Watched games whose last event in the log is a probe_failed.",
        sum(game_id in watched for game_id in status.incidents.open),
    )
    yield labelled_counter(
        "healthprobe_health_events_total",
        "Health events that the log took, by type.",
        "event_type",
        {event_type.value: count for event_type, count in status.counters.events.items()},
    )
    listed = list(islice(_down(status), MAX_GAME_SERIES))
    yield labelled_gauge(
        "healthprobe_game_down_seconds",
        f"How long a game has been in its incident. At most {MAX_GAME_SERIES} games have a series, until they recover.",
        ("game_id", "host"),
        listed,
    )
    yield labelled_gauge(
        "healthprobe_game_unknown_seconds",
        f"How long nothing has been known of an unknown game. At most {MAX_GAME_SERIES} games have a series.",
        ("game_id", "host"),
        [((game_id, host), seconds) for game_id, host, seconds, _ in status.unknown_games(MAX_GAME_SERIES)],
    )
    yield gauge(
        "healthprobe_games_down_unlisted",
        "Games that are down and have no healthprobe_game_down_seconds series.",
        max(status.cells.count_of(Condition.DOWN) - len(listed), 0),
    )


def _games(status: RunStatus) -> Metric:
    name, counts = "healthprobe_games", status.label_counts
    if counts is None:
        numbers = [((condition.value,), status.cells.count_of(condition)) for condition in Condition]
        return labelled_gauge(name, "Watched games by state.", ("state",), numbers)
    of_values = [
        ((condition.value, value), number)
        for value, games in counts.games.items()
        for condition, number in games.items()
    ]
    documentation = f"Watched games by state and {counts.label}; from {MOST_VALUES} values on, the rest is {OTHER}."
    return labelled_gauge(name, documentation, ("state", counts.label), of_values)


def _down(status: RunStatus) -> Iterator[tuple[tuple[str, str], float]]:
    """Yields the games that are down in log order: sorting a whole fleet would delay the loop."""
    now, watched = status.clock(), status.worker.target_set.by_id
    for game_id, failed in status.incidents.open.items():
        if status.cells.condition(game_id) is Condition.DOWN and (game := watched.get(game_id)) is not None:
            endpoint = game.target.endpoint
            host = endpoint.host if isinstance(endpoint, Endpoint) else ""
            yield (game_id, host), max((now - failed.occurred_at).total_seconds(), 0.0)


def cluster_families(status: RunStatus) -> Iterator[Metric]:
    """Yields the families of a cluster, without series where there is none."""
    cluster, target_set = status.cluster, status.worker.target_set
    instances = None if cluster is None else cluster.instances
    yield gauge(
        "healthprobe_shards_held",
        "Shards whose games this instance probes, in a cluster or with --shard.",
        None if target_set.shards is None else len(target_set.shards),
    )
    yield gauge(
        "healthprobe_shards",
        "All shards of the fleet, in a cluster or with --shard.",
        None if target_set.shards is None else target_set.shard_count,
    )
    yield gauge(
        "healthprobe_cluster_shards_unwatched",
        "Shards that no instance holds, as far as this instance knows.",
        None if cluster is None or instances is None else unwatched_shards(instances, cluster.shard_count),
    )
    yield gauge(
        "healthprobe_cluster_instances",
        "Instances that share the fleet, as far as this instance knows.",
        None if instances is None else len(instances),
    )
    yield gauge(
        "healthprobe_cluster_silent_seconds",
        "How long this instance has heard nothing from the cluster; what it knows is as old.",
        None if cluster is None else cluster.silent_for,
    )
