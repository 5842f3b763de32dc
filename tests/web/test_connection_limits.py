"""Connection limits: floods, idle and slow clients take nothing from probes and little from other clients."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress

import httpx
import pytest
from tests.telemetry.metrics.monitored_worker import MonitoredWorker
from tests.web.client import app_of

from healthprobe.domain.outcome import HEALTHY
from healthprobe.web import connection_limits
from healthprobe.web.listen_address import ListenAddress
from healthprobe.web.server import serving

FEW = 5
TOKEN = "long and random"
Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture
async def address(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """A run with a token that accepts five connections and waits half a second for a request."""
    monkeypatch.setattr(connection_limits, "MAX_CONNECTIONS", FEW)
    monkeypatch.setattr(connection_limits, "REQUEST_TIMEOUT", 0.5)
    async with serving(app_of(MonitoredWorker({"a": HEALTHY}), token=TOKEN), ListenAddress("127.0.0.1", 0)) as address:
        yield address


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


async def connected(address: str, stack: AsyncExitStack) -> Ends:
    url = httpx.URL(address)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    stack.push_async_callback(closed, writer)
    return reader, writer


async def closed(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()
    with suppress(ConnectionError):
        await writer.wait_closed()


async def ended(reader: asyncio.StreamReader) -> bool:
    """Whether the server closes within two seconds, without a response."""
    with suppress(ConnectionError):
        async with asyncio.timeout(2):
            return await reader.read() == b""
    return True


@pytest.mark.proves("connections-silent")
async def test_a_connection_without_a_request_is_closed(address: str, stack: AsyncExitStack) -> None:
    reader, _ = await connected(address, stack)
    assert await ended(reader)


@pytest.mark.proves("connections-slow")
async def test_a_connection_that_sends_its_request_too_slowly_is_closed(address: str, stack: AsyncExitStack) -> None:
    reader, writer = await connected(address, stack)
    began = asyncio.get_running_loop().time()
    with suppress(ConnectionError):
        for byte in b"GET /healthz HTTP/1.1\r\nX-Padding: " + b"x" * 1_000:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.02)
            if reader.at_eof():
                break
    assert asyncio.get_running_loop().time() - began < 5
    assert await ended(reader)


async def test_a_connection_that_is_idle_after_a_response_is_closed(address: str, stack: AsyncExitStack) -> None:
    reader, writer = await connected(address, stack)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    writer.write(b"G")
    async with asyncio.timeout(3):
        with suppress(ConnectionError):
            await reader.read()


@pytest.mark.proves("connections-limit")
async def test_connections_above_the_limit_are_closed_at_once_and_idle_ones_make_room(
    address: str, stack: AsyncExitStack
) -> None:
    flood = [await connected(address, stack) for _ in range(20)]
    await asyncio.sleep(0.2)
    still = [reader for reader, _ in flood if not reader.at_eof() and reader.exception() is None]
    assert len(still) == FEW
    await asyncio.sleep(0.6)
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"{address}api/fleet", headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 200


async def test_a_stream_is_not_closed_for_being_long(address: str, stack: AsyncExitStack) -> None:
    reader, writer = await connected(address, stack)
    request = f"GET /api/cells/stream HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
    writer.write(request.encode())
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    await asyncio.sleep(1.0)
    assert not reader.at_eof()
    assert reader.exception() is None


@pytest.mark.proves("connections-quarter")
@pytest.mark.parametrize(
    ("soft", "most"), [(256, 64), (1024, 256), (1_000_000, 512), (resource.RLIM_INFINITY, 512), (3, 1)]
)
def test_clients_get_at_most_a_quarter_of_the_descriptors(
    soft: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, resource.RLIM_INFINITY))
    assert connection_limits.max_connections() == most
