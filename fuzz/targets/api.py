"""Requests to the API: paths, parameters and headers, passed to the whole application as a server does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any
from urllib.parse import unquote

from starlette.types import ASGIApp, Message, Scope

from fuzz.mutation import Mutator
from fuzz.target import Draw, Target

Asked = tuple[str, bytes, tuple[tuple[bytes, bytes], ...]]

_QUESTIONS = (
    b"/api/games?state=down&q=chess&host=127.0.0.1&per_page=2&page=1",
    b"/api/games/chess-1",
    b"/api/games/a%2fb%00",
    b"/api/fleet",
    b"/api/incidents?limit=10&open=true",
    b"/api/events?limit=10&after=0",
    b"/api/events/stream?after=0",
    b"/api/cells/stream?after=0",
    b"/api/openapi.json",
    b"/healthz",
    b"/metrics",
    b"/",
)
_OF_QUESTIONS = (
    b"?", b"&", b"=", b"%", b"/", b"//", b"/../", b"limit=", b"after=", b"page=", b"per_page=", b"state=", b"q=",
    b"18446744073709551616", b"9223372036854775807", b"-1", b"%e2%82%ac", b"%ed%a0%80", b"+", b";",
)  # fmt: skip
_HEADERS = (b"host", b"last-event-id", b"authorization", b"accept-encoding", b"range", b"if-none-match", b"cookie")
_HEADER_VALUES = (
    b"127.0.0.1:8600", b"localhost", b"[::1]:8600", b"17", b"Bearer secret", b"Basic eDpzZWNyZXQ=", b"bytes=0-",
)  # fmt: skip
_ENOUGH = 5.0


def _questions(random: Random) -> Draw:
    targets = Mutator(random, _QUESTIONS, _OF_QUESTIONS)
    values = Mutator(random, _HEADER_VALUES, (b"Bearer ", b"Basic ", b"=", b":", b"["))

    def draw() -> Asked:
        path, _, query = targets.draw().partition(b"?")
        headers = tuple((random.choice(_HEADERS), values.draw()) for _ in range(random.randint(0, 2)))
        usual = ((b"host", b"127.0.0.1:8600"), (b"authorization", b"Bearer secret"))
        text = "/" + unquote(path.decode("latin-1")).lstrip("/")
        return text, query, headers if random.random() < 0.1 else usual + headers

    return draw


class _Readers:
    """An application with failing games, made at its first request, on a loop of its own."""

    def __init__(self, token: str | None) -> None:
        self._token = token
        self._app: ASGIApp | None = None
        self._run: Callable[..., Any] | None = None

    def __call__(self, asked: Asked) -> None:
        if self._run is None:
            self._run = asyncio.Runner().run
            self._app = self._run(_app(self._token))
        self._run(self._ask(asked))

    async def _ask(self, asked: Asked) -> None:
        """Fails on a status of 500 or more, and on an exception."""
        assert self._app is not None
        statuses: list[int] = []
        asked_yet = False

        async def receive() -> Message:
            nonlocal asked_yet
            if not asked_yet:
                asked_yet = True
                return {"type": "http.request", "body": b"", "more_body": False}
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        async with asyncio.timeout(_ENOUGH):
            await self._app(_scope(*asked), receive, send)
        assert len(statuses) == 1, statuses
        assert statuses[0] < 500, statuses


async def _app(token: str | None) -> ASGIApp:
    from tests.telemetry.metrics.monitored_worker import MonitoredWorker  # noqa: PLC0415
    from tests.web.client import app_of  # noqa: PLC0415  pytest is not loaded for the others

    from healthprobe.domain.outcome import HEALTHY, Failed, FailureKind  # noqa: PLC0415
    from healthprobe.testing.stage import ticks  # noqa: PLC0415

    refused = Failed(0, "connection refused", FailureKind.REFUSED)
    monitored = MonitoredWorker({"chess-1": refused, "go-1": [HEALTHY, refused], "ludo-1": HEALTHY, "a/b": refused})
    await ticks(monitored.worker, 3)
    return app_of(monitored, token=token)


def _scope(path: str, query: bytes, headers: tuple[tuple[bytes, bytes], ...]) -> Scope:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode("utf-8", "replace"),
        "root_path": "",
        "query_string": query,
        "headers": list(headers),
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8600),
    }


TARGETS = (
    Target("API on loopback", _questions, _Readers(None), share=1),
    Target("API with a token", _questions, _Readers("secret"), share=1),
)
