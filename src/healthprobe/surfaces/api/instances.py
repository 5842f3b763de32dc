"""The documents of a cluster: what `/api/cluster` answers, and what `healthprobe cluster` writes."""

from __future__ import annotations

from healthprobe.domain.instance import Instance, unwatched_shards
from healthprobe.surfaces.api import documents
from healthprobe.surfaces.sight.sight import Cluster


def cluster_document(cluster: Cluster) -> documents.Cluster:
    """The cluster as the run knows it now."""
    instances = cluster.instances
    return documents.Cluster(
        shards=cluster.shard_count,
        unwatched=unwatched_shards(instances, cluster.shard_count),
        silent_s=round(cluster.silent_for, 3),
        instances=[instance_document(each) for each in instances],
    )


def instance_document(instance: Instance) -> documents.Instance:
    """What one instance tells of itself."""
    takeover = instance.takeover
    return documents.Instance(
        instance=instance.instance,
        host=instance.host,
        pid=instance.pid,
        started_at=instance.started_at,
        shards=list(instance.shards),
        games=instance.games,
        duties=list(instance.duties),
        blind=instance.blind,
        oldest_renewal_s=instance.oldest_renewal,
        newest_renewal_s=instance.newest_renewal,
        last_takeover=None if takeover is None else documents.TakenOver(takeover.at, takeover.shards, takeover.cause),
    )
