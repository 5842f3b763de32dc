"""Our prober alone: HTTPProber, asked in lanes, without a worker around it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from benchmarks.client import Client
from benchmarks.contenders.contender import PATIENCE
from healthprobe.domain.outcome import HEALTHY
from healthprobe.domain.record import RuntimeRecord
from healthprobe.domain.target import parse_target
from healthprobe.probing.http import HTTPProber


@asynccontextmanager
async def client(endpoints: Sequence[str], *, keep_connections: bool) -> AsyncIterator[Client]:
    targets = [parse_target(RuntimeRecord(endpoint, "", endpoint), PATIENCE) for endpoint in endpoints]
    async with HTTPProber(keep_connections=keep_connections) as prober:
        yield Client(prober.probe, targets, HEALTHY)
