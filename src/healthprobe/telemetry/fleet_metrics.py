"""Metrics of the fleet and of the cluster."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from prometheus_client.metrics_core import Metric

from healthprobe.domain.cluster import unwatched_shards
from healthprobe.domain.endpoint import Endpoint
from healthprobe.domain.fleet_status import Condition
from healthprobe.status.run_status import RunStatus
from healthprobe.telemetry.metric_families import counters, gauge, gauges

MOST_GAMES = 1_000
"""How many games have a series of their own at most: a whole fleet that is down must not bring Prometheus down too."""


def families_of_fleet(sight: RunStatus) -> Iterator[Metric]:
    """The families of games and incidents, as old as the last refresh of `sight`."""
    yield gauges(
        "healthprobe_games",
        "Watched games by their state.",
        ("state",),
        [((condition.value,), sight.count_of(condition)) for condition in Condition],
    )
    watched = sight.view.target_set.by_id
    yield gauge(
        "healthprobe_open_incidents",
        "Watched games whose last event in the log is a probe_failed.",
        sum(game_id in watched for game_id in sight.incidents.open),
    )
    yield counters(
        "healthprobe_health_events_total",
        "Health events that the log took, by their type.",
        "event_type",
        {event_type.value: count for event_type, count in sight.tally.events.items()},
    )
    listed = list(islice(_down(sight), MOST_GAMES))
    yield gauges(
        "healthprobe_game_down_seconds",
        f"For how long a game is in an incident. At most {MOST_GAMES} games are listed, the same as long as they last.",
        ("game_id", "host"),
        listed,
    )
    yield gauge(
        "healthprobe_games_down_unlisted",
        "Games that are down and have no series of their own.",
        max(sight.count_of(Condition.DOWN) - len(listed), 0),
    )


def _down(sight: RunStatus) -> Iterator[tuple[tuple[str, str], float]]:
    """In the order in which the log told of them: sorting a fleet that is down would hold up the loop."""
    now, watched = sight.clock(), sight.view.target_set.by_id
    for game_id, failed in sight.incidents.open.items():
        if sight.cells.condition(game_id) is Condition.DOWN and (game := watched.get(game_id)) is not None:
            endpoint = game.target.endpoint
            host = endpoint.host if isinstance(endpoint, Endpoint) else ""
            yield (game_id, host), max((now - failed.occurred_at).total_seconds(), 0.0)


def families_of_cluster(sight: RunStatus) -> Iterator[Metric]:
    """The families of a cluster; without one they are there without series."""
    cluster, target_set = sight.cluster, sight.view.target_set
    instances = None if cluster is None else cluster.instances
    yield gauge(
        "healthprobe_shards_held",
        "Shards whose games this instance watches, in a cluster or with --shard.",
        None if target_set.shards is None else len(target_set.shards),
    )
    yield gauge(
        "healthprobe_shards",
        "Shards over which all games are spread, in a cluster or with --shard.",
        None if target_set.shards is None else target_set.shard_count,
    )
    yield gauge(
        "healthprobe_cluster_shards_unwatched",
        "Shards that no instance holds, as this one knows.",
        None if cluster is None or instances is None else unwatched_shards(instances, cluster.shard_count),
    )
    yield gauge(
        "healthprobe_cluster_instances",
        "Instances that share the fleet, as this one knows.",
        None if instances is None else len(instances),
    )
    yield gauge(
        "healthprobe_cluster_silent_seconds",
        "For how long this instance has heard nothing of the cluster; what it knows is as old.",
        None if cluster is None else cluster.silent_for,
    )
