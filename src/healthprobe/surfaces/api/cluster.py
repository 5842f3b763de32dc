"""The cluster: which instances share the fleet, and which shards nobody has."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from healthprobe.surfaces.api.answers import answer, refusal
from healthprobe.surfaces.api.instances import cluster_document
from healthprobe.surfaces.sight.sight import Sight


class ClusterAnswers:
    """`GET /api/cluster`."""

    def __init__(self, sight: Sight) -> None:
        self._cluster = sight.cluster

    async def cluster(self, _: Request) -> Response:
        """404 where this run shares the fleet with nobody."""
        if self._cluster is None:
            return refusal(404, "this run is in no cluster: start it with --cluster to share the fleet with others")
        return answer(cluster_document(self._cluster))
