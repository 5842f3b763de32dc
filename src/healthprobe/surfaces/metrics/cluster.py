"""What is told of the cluster: who is there by the word of this instance, and what nobody watches."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.metrics_core import Metric

from healthprobe.domain.instance import unwatched_shards
from healthprobe.surfaces.metrics.simple import gauge
from healthprobe.surfaces.sight.sight import Sight


def families_of_cluster(sight: Sight) -> Iterator[Metric]:
    """The families of a cluster; without one they are there without series."""
    cluster, roster = sight.cluster, sight.view.roster
    instances = None if cluster is None else cluster.instances
    yield gauge(
        "healthprobe_shards_held",
        "Shards whose games this instance watches, in a cluster or with --shard.",
        None if roster.shards is None else len(roster.shards),
    )
    yield gauge(
        "healthprobe_shards",
        "Shards over which all games are spread, in a cluster or with --shard.",
        None if roster.shards is None else roster.shard_count,
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
