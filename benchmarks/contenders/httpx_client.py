"""httpx: one AsyncClient for all engines."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib import import_module

from benchmarks.client import Client
from benchmarks.contenders.contender import PATIENCE, Missing

_HOUR = 3600.0


@asynccontextmanager
async def client(endpoints: Sequence[str], *, keep_connections: bool) -> AsyncIterator[Client]:
    """Raises Missing where httpx is not installed: only `make bench` installs it."""
    try:
        httpx = import_module("httpx")
    except ModuleNotFoundError as error:
        raise Missing("not installed: pip install httpx") from error
    limits = httpx.Limits(
        max_connections=None,
        max_keepalive_connections=None if keep_connections else 0,
        keepalive_expiry=_HOUR,
    )
    async with httpx.AsyncClient(limits=limits, timeout=PATIENCE, trust_env=False) as session:

        async def ask(url: str) -> bool:
            response = await session.get(url)
            return bool(response.status_code == 200)

        yield Client(ask, [f"{endpoint}/healthz" for endpoint in endpoints], healthy=True)
