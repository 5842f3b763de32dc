"""aiohttp: one ClientSession for all engines."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib import import_module

from benchmarks.client import Client
from benchmarks.contenders.contender import PATIENCE, Missing

_HOUR = 3600.0


@asynccontextmanager
async def client(endpoints: Sequence[str], *, keep_connections: bool) -> AsyncIterator[Client]:
    """Raises Missing where aiohttp is not installed: only `make bench` installs it."""
    try:
        aiohttp = import_module("aiohttp")
    except ModuleNotFoundError as error:
        raise Missing("not installed: pip install aiohttp") from error
    kept = {"keepalive_timeout": _HOUR} if keep_connections else {"force_close": True}
    connector = aiohttp.TCPConnector(limit=0, **kept)
    timeout = aiohttp.ClientTimeout(total=PATIENCE)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:

        async def ask(url: str) -> bool:
            async with session.get(url) as response:
                return bool(response.status == 200)

        yield Client(ask, [f"{endpoint}/healthz" for endpoint in endpoints], healthy=True)
