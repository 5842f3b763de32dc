"""Behind a proxy that ends TLS for a name of its own: page, API and streams, with the token or at a unix socket."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import trustme
from tests.support.waiting import PATIENCE
from tests.telemetry.metrics.monitored_worker import MonitoredWorker
from tests.web.client import app_of

from healthprobe.domain.outcome import HEALTHY
from healthprobe.web.listen_address import ListenAddress, parse_listen_address
from healthprobe.web.server import serving

NAME = "health.example"
TOKEN = "long and random"
ANY = ListenAddress("127.0.0.1", 0)
EVERYTHING = ("/", "/page.js", "/page.css", "/api/fleet", "/api/games", "/api/openapi.json", "/metrics", "/healthz")


@asynccontextmanager
async def behind_tls(address: ListenAddress) -> AsyncIterator[httpx.AsyncClient]:
    """Yields a client of a proxy for `https://health.example`, which hands all on as it came."""
    authority = trustme.CA()
    server_side, client_side = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert(NAME).configure_cert(server_side)
    authority.configure_trust(client_side)

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while received := await reader.read(65_536):
                writer.write(received)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        dial = asyncio.open_unix_connection(address.path) if address.path else None
        upstream, request = await (dial or asyncio.open_connection("127.0.0.1", address.port))
        await asyncio.gather(pump(reader, request), pump(upstream, writer))

    proxy = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=server_side)
    host, port = proxy.sockets[0].getsockname()
    async with proxy, httpx.AsyncClient(verify=client_side, timeout=PATIENCE, trust_env=False) as client:
        client.base_url = httpx.URL(f"https://{host}:{port}")
        client.headers["Host"] = NAME
        client.event_hooks["request"] = [_ask_by_name]
        yield client


async def _ask_by_name(request: httpx.Request) -> None:
    request.extensions["sni_hostname"] = NAME


def at(url: str) -> ListenAddress:
    return ListenAddress("127.0.0.1", httpx.URL(url).port or 0)


async def streams(client: httpx.AsyncClient, **headers: str) -> bool:
    async with client.stream("GET", "/api/cells/stream", headers=headers) as answer:
        return answer.status_code == 200 and (await anext(answer.aiter_bytes())).startswith(b"event: ")


async def test_with_the_token_everything_is_served_under_any_name() -> None:
    app = app_of(MonitoredWorker({"a": HEALTHY}), token=TOKEN)
    async with serving(app, ANY) as url, behind_tls(at(url)) as client:
        for path in EVERYTHING:
            assert (await client.get(path)).status_code == (200 if path == "/healthz" else 401), path
        client.headers["Authorization"] = f"Bearer {TOKEN}"
        for path in EVERYTHING:
            answer = await client.get(path)
            assert answer.status_code == 200, path
            assert "http://" not in answer.headers.get("Content-Security-Policy", "")
        assert (await client.head("/healthz")).status_code == 200
        assert await streams(client)


async def test_a_unix_socket_behind_it_is_served_under_any_name_without_a_token(tmp_path: Path) -> None:
    address = parse_listen_address(f"unix:{tmp_path}/hp.sock")
    assert address is not None
    async with serving(app_of(MonitoredWorker({"a": HEALTHY})), address), behind_tls(address) as client:
        for path in EVERYTHING:
            assert (await client.get(path)).status_code == 200, path
        assert (await client.head("/healthz")).status_code == 200
        assert await streams(client)


@pytest.mark.parametrize("sent", [NAME, "health.localhost", "127.0.0.1.example"])
async def test_without_a_token_another_name_is_refused_with_what_to_change(sent: str) -> None:
    async with serving(app_of(MonitoredWorker({"a": HEALTHY})), ANY) as url, behind_tls(at(url)) as client:
        client.headers["Host"] = sent
        refused = await client.get("/api/fleet")
        assert refused.status_code == 421
        assert f"(got Host: {sent})" in refused.json()["error"]
        assert "set HEALTHPROBE_TOKEN, or listen at a unix socket" in refused.json()["error"]
        client.headers["Host"] = "localhost"
        assert (await client.get("/api/fleet")).status_code == 200
