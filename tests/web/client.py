"""A client of the API: in this process for one response, over a socket for a stream."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from starlette.types import ASGIApp
from tests.support.waiting import PATIENCE
from tests.telemetry.metrics.monitored_worker import MonitoredWorker

from healthprobe.telemetry.collector import exposition, registry_of
from healthprobe.web.app import create_app
from healthprobe.web.listen_address import ListenAddress
from healthprobe.web.server import serving

BASE = "http://127.0.0.1:8600"


def app_of(monitored: MonitoredWorker, *, token: str | None = None) -> ASGIApp:
    registry = registry_of(monitored.collector)
    return create_app(monitored.status, lambda: exposition(registry), token=token)


async def get(app: ASGIApp, path: str, **headers: str) -> httpx.Response:
    """Returns the response to a GET."""
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
        return await client.get(path, headers={name.replace("_", "-"): value for name, value in headers.items()})


async def raw(port: int, request: str, *, host: str = "127.0.0.1") -> bytes:
    """Returns what the server at `port` sends, until it closes, for a request head without its last, empty line."""
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(f"{request}Connection: close\r\n\r\n".encode())
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
    return answer


async def get_json(monitored: MonitoredWorker, path: str) -> Any:
    """Returns the current document at `path`."""
    monitored.status._refreshed_at = float("-inf")
    answer = await get(app_of(monitored), path)
    assert answer.status_code == 200, answer.text
    return answer.json()


@asynccontextmanager
async def stream_of(
    monitored: MonitoredWorker, path: str, **headers: str
) -> AsyncIterator[AsyncIterator[tuple[str, str, Any]]]:
    """Yields the server-sent events at `path` as (id, name, data), over a real connection."""
    async with (
        serving(app_of(monitored), ListenAddress("127.0.0.1", 0)) as address,
        httpx.AsyncClient(base_url=address) as client,
    ):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with client.stream("GET", path, headers=named, timeout=PATIENCE) as answer:
            assert answer.status_code == 200
            assert answer.headers["content-type"].startswith("text/event-stream")
            yield _events(answer)


async def _events(answer: httpx.Response) -> AsyncIterator[tuple[str, str, Any]]:
    fields: dict[str, str] = {}
    async with asyncio.timeout(PATIENCE):
        async for line in answer.aiter_lines():
            name, _, value = line.partition(": ")
            if line:
                fields[name] = value
            elif "data" in fields:
                yield fields.get("id", ""), fields["event"], json.loads(fields["data"])
                fields = {}
