"""The engines, a bus and three NATS nodes."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tests.servers.nats import NatsCluster

from chaos.cluster.form import ClusterForm
from chaos.environment import Environment, environment_for
from chaos.oracle import Oracle


@dataclass(frozen=True, slots=True)
class ClusterStage(Environment):
    """A stage whose log and leases are on `nats`."""

    form: ClusterForm
    nats: NatsCluster


@asynccontextmanager
async def cluster_stage(form: ClusterForm, seed: int) -> AsyncIterator[ClusterStage]:
    """Runs everything until the block ends, and leaves nothing running."""
    oracle = Oracle(form.names, most_failures=math.inf)
    with NatsCluster() as nats:
        async with environment_for(form, seed, oracle) as environment:
            yield ClusterStage(
                form,
                environment.chance,
                environment.folder,
                environment.engines,
                environment.canary,
                environment.redis,
                nats=nats,
            )
