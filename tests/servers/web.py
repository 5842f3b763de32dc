"""A real web server on loopback that records requests and answers by script, for tests and harnesses."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from types import TracebackType
from typing import Any, Self

from aiohttp import web


@dataclass(frozen=True, slots=True)
class Asked:
    """One complete request. `path` is as it was sent; `connection` counts from 1."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    connection: int

    @property
    def document(self) -> Any:
        """Returns the body as JSON."""
        return json.loads(self.body)


Script = Callable[[web.BaseRequest, Asked], Awaitable[web.StreamResponse]]
"""Answers a request that came in full, or breaks its transport."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete response, sent after `pause` seconds."""

    status: int = 204
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    pause: float = 0.0

    async def __call__(self, request: web.BaseRequest, asked: Asked) -> web.StreamResponse:
        await asyncio.sleep(self.pause)
        return web.Response(status=self.status, body=self.body, headers=self.headers)


ACCEPTED = Answer()


def in_turn(*scripts: Script) -> Script:
    """Answers each request by the next of `scripts`, and by the last from then on."""
    left = list(scripts)

    async def script(request: web.BaseRequest, asked: Asked) -> web.StreamResponse:
        return await (left.pop(0) if len(left) > 1 else left[0])(request, asked)

    return script


def raw(data: bytes) -> Script:
    """Sends these bytes and closes the connection."""

    async def script(request: web.BaseRequest, asked: Asked) -> web.StreamResponse:
        transport = request.transport
        assert transport is not None
        transport.write(data)
        transport.close()
        return await _nothing_more()

    return script


def trickling(head: bytes, pause: float = 0.02) -> Script:
    """Sends `head`, and then a byte every `pause` seconds while the client is connected."""

    async def script(request: web.BaseRequest, asked: Asked) -> web.StreamResponse:
        transport = request.transport
        assert transport is not None
        transport.write(head)
        while not transport.is_closing():
            transport.write(b"x")
            await asyncio.sleep(pause)
        return await _nothing_more()

    return script


async def resetting(request: web.BaseRequest, asked: Asked) -> web.StreamResponse:
    """Closes the connection without a response."""
    assert request.transport is not None
    request.transport.abort()
    return await _nothing_more()


async def silent(request: web.BaseRequest, asked: Asked) -> web.StreamResponse:
    """Never answers."""
    return await _nothing_more()


async def _nothing_more() -> web.StreamResponse:
    """Waits until aiohttp cancels it, when the connection is lost: otherwise aiohttp would send a response."""
    await asyncio.Event().wait()
    raise AssertionError


class _Listener(web.Server):
    """aiohttp's server, its connections numbered."""

    def __init__(self, handle: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]], numbers: count[int]) -> None:
        super().__init__(handle, handler_cancellation=True, access_log=None)
        self._numbers = numbers
        self.number_of: dict[object, int] = {}

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        self.number_of[handler] = next(self._numbers)

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        super().connection_lost(handler, exc)
        self.number_of.pop(handler, None)


class WebServer:
    """Listens on a port of its own, and keeps that, while in `async with`. `script` may be changed at any time.

    `asked` are the requests that came, in their order.
    """

    def __init__(self, script: Script = ACCEPTED, *, tls: ssl.SSLContext | None = None, port: int = 0) -> None:
        self.script = script
        self.asked: list[Asked] = []
        self.port = port
        self._tls = tls
        self._numbers = count(1)
        self._listener: _Listener | None = None
        self._listening: asyncio.Server | None = None

    def url(self, path: str = "/", *, host: str = "127.0.0.1", credentials: str = "") -> str:
        at = "@" if credentials else ""
        return f"{'https' if self._tls else 'http'}://{credentials}{at}{host}:{self.port}{path}"

    @property
    def connections(self) -> int:
        """Returns the number of connections."""
        return len(self._listener.number_of) if self._listener else 0

    async def come_back(self) -> None:
        """Listens, on the same port as before."""
        sock = socket.create_server(("127.0.0.1", self.port), backlog=1024)
        self.port = sock.getsockname()[1]
        self._listener = _Listener(self._handle, self._numbers)
        self._listening = await asyncio.get_running_loop().create_server(self._listener, sock=sock, ssl=self._tls)

    async def go_away(self) -> None:
        """Stops listening and drops every connection."""
        listener, listening = self._listener, self._listening
        assert listener is not None
        assert listening is not None
        self._listener = self._listening = None
        listening.close()
        await listener.shutdown(0.1)
        await listening.wait_closed()

    async def __aenter__(self) -> Self:
        await self.come_back()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._listener is not None:
            await self.go_away()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        number = self._listener.number_of[request.protocol] if self._listener else 0
        asked = Asked(request.method, request.raw_path, request.headers, await request.read(), number)
        self.asked.append(asked)
        return await self.script(request, asked)
