"""Scripted engines: real HTTP servers on loopback that answer, hang, crash and come back by script.

    async with ScriptedEngine() as engine:
        await engine.become(503)      # any status
        await engine.become("hang")   # accepts, never answers
        await engine.become("crash")  # refuses connections, and resets those it had
        await engine.become("falter")  # fails every fourth probe with 503, answers the others with 200

A script is data, so a test knows beforehand what an engine does at any time: `Script.behaviour_at` is the oracle.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from itertools import count
from typing import Literal, Self, cast

Behaviour = int | Literal["hang", "crash", "falter"]
"""What an engine does with a probe: answer with this status, accept and never answer, refuse connections, or fail every
fourth probe. An engine that falters never fails twice in a row, at whatever pace it is probed."""

OK = HTTPStatus.OK.value
FALTERING_STATUS = HTTPStatus.SERVICE_UNAVAILABLE.value

_FALTERS_EVERY = 4

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Script:
    """An engine's behaviour over time: `steps` are (seconds since the start, behaviour), ascending, the first at 0.

    With a `period` in seconds, longer than the last step's time, the steps repeat for ever.
    """

    steps: tuple[tuple[float, Behaviour], ...] = ((0.0, OK),)
    period: float | None = None

    def __post_init__(self) -> None:
        times = [time for time, _ in self.steps]
        if not times or times[0] != 0 or times != sorted(times):
            raise ValueError("a script's steps are in ascending order of time and begin at 0")
        if self.period is not None and self.period <= times[-1]:
            raise ValueError("a script's period is longer than the time of its last step")

    def behaviour_at(self, elapsed: float) -> Behaviour:
        """Returns the behaviour `elapsed` seconds after the start.

        >>> Script(((0.0, 200), (3.0, "crash")), period=5.0).behaviour_at(9.0)
        'crash'
        """
        within = elapsed if self.period is None else elapsed % self.period
        return [behaviour for time, behaviour in self.steps if time <= within][-1]

    def changes(self) -> Iterator[tuple[float, Behaviour]]:
        """Yields each step with its time in seconds since the start, without end if the script repeats."""
        rounds = (0,) if self.period is None else count()
        for number in rounds:
            for time, behaviour in self.steps:
                yield number * (self.period or 0.0) + time, behaviour


class ScriptedEngine:
    """One engine, healthy at first. It keeps its port while the context lasts, also while it is crashed.

    `requests` counts the probes that reached it, answered or not.
    """

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.host = host
        self.port = 0
        self.requests = 0
        self.connections: set[_Connection] = set()
        self._behaviour: Behaviour = OK
        self._answered = 0
        self._reserved: socket.socket | None = None
        self._server: asyncio.Server | None = None

    @property
    def endpoint(self) -> str:
        return f"http://{self.host}:{self.port}"

    async def __aenter__(self) -> Self:
        self._reserved = self._bound_socket()
        self.port = self._reserved.getsockname()[1]
        await self.become(OK)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.become("crash")
        if self._reserved is not None:
            self._reserved.close()

    async def become(self, behaviour: Behaviour) -> None:
        """Changes the behaviour. An engine that stops hanging answers the probes that came meanwhile."""
        self._behaviour = behaviour
        if behaviour == "crash":
            self._crash()
            return
        if self._server is None:
            loop = asyncio.get_running_loop()
            listener = self._bound_socket()
            self._server = await loop.create_server(lambda: _Connection(self), sock=listener, backlog=1024)
        for connection in self.connections:
            connection.answer()

    @property
    def is_crashed(self) -> bool:
        return self._behaviour == "crash"

    def next_response(self) -> bytes | None:
        """Returns the answer to the next probe, or None while the engine hangs."""
        if self._behaviour == "falter":
            self._answered += 1
            return _response(OK if self._answered % _FALTERS_EVERY else FALTERING_STATUS)
        return _response(self._behaviour) if isinstance(self._behaviour, int) else None

    async def follow(self, script: Script) -> None:
        """Follows `script` from now on. Returns after the last step, unless the script repeats."""
        loop = asyncio.get_running_loop()
        start = loop.time()
        for time, behaviour in script.changes():
            await asyncio.sleep(start + time - loop.time())
            await self.become(behaviour)

    def _crash(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for connection in list(self.connections):
            connection.reset()

    def _bound_socket(self) -> socket.socket:
        """Returns a socket bound to the engine's port. One that never listens reserves the port."""
        bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.setblocking(False)
        bound.bind((self.host, self.port))
        return bound


class ScriptedFleet:
    """Engines by game id, each following its script from the moment the context is entered."""

    def __init__(self, scripts: Mapping[str, Script]) -> None:
        self.engines = {game_id: ScriptedEngine() for game_id in scripts}
        self._scripts = scripts
        self._stack = AsyncExitStack()

    @property
    def endpoints(self) -> dict[str, str]:
        return {game_id: engine.endpoint for game_id, engine in self.engines.items()}

    async def __aenter__(self) -> Self:
        for engine in self.engines.values():
            await self._stack.enter_async_context(engine)
        for game_id, engine in self.engines.items():
            following = asyncio.create_task(engine.follow(self._scripts[game_id]))
            self._stack.callback(following.cancel)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()


class _Connection(asyncio.Protocol):
    """One connection to an engine. Probes have no body, so an empty line ends a request."""

    def __init__(self, engine: ScriptedEngine) -> None:
        self._engine = engine
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._unanswered = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one without inheriting from it
        self._engine.connections.add(self)
        if self._engine.is_crashed:  # it was accepted just before the crash
            self.reset()

    def data_received(self, data: bytes) -> None:
        *requests, self._received = (self._received + data).split(b"\r\n\r\n")
        self._engine.requests += len(requests)
        self._unanswered += len(requests)
        self.answer()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._engine.connections.discard(self)

    def answer(self) -> None:
        """Answers the waiting probes, unless the engine hangs."""
        while self._unanswered and self._transport is not None:
            response = self._engine.next_response()
            if response is None:
                break
            self._transport.write(response)
            self._unanswered -= 1

    def reset(self) -> None:
        """Closes with a reset, as when a process dies."""
        if self._transport is not None:
            peer = self._transport.get_extra_info("socket")
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self._transport.abort()


@cache
def _response(status: int) -> bytes:
    phrase = HTTPStatus(status).phrase if status in set(HTTPStatus) else "Unknown"
    return f"HTTP/1.1 {status} {phrase}\r\nContent-Type: text/plain\r\nContent-Length: 0\r\n\r\n".encode()
