"""The cluster: which instances share the fleet, and which shards nobody has."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from healthprobe.domain.cluster import Instance, unwatched_shards
from healthprobe.status.run_status import Cluster, RunStatus
from healthprobe.web import schemas
from healthprobe.web.responses import answer, refusal


def cluster_document(cluster: Cluster) -> schemas.Cluster:
    """The cluster as the run knows it now."""
    instances = cluster.instances
    return schemas.Cluster(
        shards=cluster.shard_count,
        unwatched=unwatched_shards(instances, cluster.shard_count),
        silent_s=round(cluster.silent_for, 3),
        instances=[instance_document(each) for each in instances],
    )


def instance_document(instance: Instance) -> schemas.Instance:
    """What one instance tells of itself."""
    takeover = instance.takeover
    return schemas.Instance(
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
        last_takeover=None if takeover is None else schemas.TakenOver(takeover.at, takeover.shards, takeover.cause),
    )


class ClusterAnswers:
    """`GET /api/cluster`."""

    def __init__(self, sight: RunStatus) -> None:
        self._cluster = sight.cluster

    async def cluster(self, _: Request) -> Response:
        """404 where this run shares the fleet with nobody."""
        if self._cluster is None:
            return refusal(404, "this run is in no cluster: start it with --cluster to share the fleet with others")
        return answer(cluster_document(self._cluster))
