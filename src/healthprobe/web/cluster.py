"""`GET /api/cluster`: the instances that share the fleet, and the shards that no instance holds."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from healthprobe.domain.cluster import Instance, unwatched_shards
from healthprobe.web import schemas
from healthprobe.web.responses import error_response, json_response, status_of


async def get_cluster(request: Request) -> Response:
    """Returns the cluster as this instance knows it; 404 if the run is in no cluster."""
    cluster = status_of(request).cluster
    if cluster is None:
        return error_response(404, "this run is not in a cluster: start it with --cluster to share the fleet")
    instances = cluster.instances
    return json_response(
        schemas.Cluster(
            shards=cluster.shard_count,
            unwatched=unwatched_shards(instances, cluster.shard_count),
            silent_s=round(cluster.silent_for, 3),
            instances=[instance_document(each) for each in instances],
        )
    )


def instance_document(instance: Instance) -> schemas.Instance:
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
        last_takeover=None if takeover is None else schemas.Takeover(takeover.at, takeover.shards, takeover.cause),
    )
