"""Plain engines: every 127.x.y.z on one port, in one process. For where nginx is missing, or cannot do what is needed.

    python -m benchmarks.plain_engines PORT [--answer-after SECONDS | --silent | --identity]

Answers 200 to anything, at once, after a while, or (`--silent`) never: a connection is accepted and nothing is said.
`GET /requests` gives the number of all other requests so far, in the words of nginx's stub_status; after `GET /fail`
everything is answered 503, until `GET /heal`. With `--identity` each names its game, `game-N`, in X-Game-ID.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import socket
import sys
from typing import cast

import uvloop

BACKLOG = 16384

_OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"
_UNAVAILABLE = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
_COMMANDS = {b"GET /fail ": _UNAVAILABLE, b"GET /heal ": _OK}


class PlainEngines:
    """What all connections share: the way to answer, and the count."""

    def __init__(self, *, answer_after: float, silent: bool, identity: bool) -> None:
        self.answer_after = answer_after
        self.silent = silent
        self.identity = identity
        self.answer = _OK
        self.requests = 0
        self.loop = asyncio.get_running_loop()

    def status(self) -> bytes:
        body = f"server accepts handled requests\n 0 0 {self.requests}\n".encode()
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


class _Connection(asyncio.Protocol):
    """One connection. A probe fits one segment and is never pipelined, so what comes together is one request."""

    def __init__(self, engines: PlainEngines) -> None:
        self._engines = engines
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if self._engines.identity:
            self._named = _named(transport.get_extra_info("sockname")[0])

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._transport = None

    def data_received(self, data: bytes) -> None:
        engines = self._engines
        if data.startswith(b"GET /requests "):
            self._write(engines.status())
            return
        if data[:10] in _COMMANDS:
            engines.answer = _COMMANDS[data[:10]]
            self._write(_OK)
            return
        engines.requests += 1
        if engines.answer_after:
            engines.loop.call_later(engines.answer_after, self._write, engines.answer)
        elif engines.identity:
            self._write(self._named)
        elif not engines.silent:
            self._write(engines.answer)

    def _write(self, answer: bytes) -> None:
        if self._transport is not None:
            self._transport.write(answer)


def _named(address: str) -> bytes:
    """The answer of the engine at this address, by the numbers that `benchmarks.engines` gives them."""
    _, high, middle, low = map(int, address.split("."))
    number = (high - 1) * 62500 + middle * 250 + low - 1
    return _OK.replace(b"\r\n\r\n", b"\r\nX-Game-ID: game-%d\r\n\r\n" % number)


def loopback_listener(port: int) -> socket.socket:
    """A socket on `port` of every loopback address, and of no other network."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
    listener.bind(("0.0.0.0", port))
    return listener


async def _serve(arguments: argparse.Namespace) -> None:
    engines = PlainEngines(answer_after=arguments.answer_after, silent=arguments.silent, identity=arguments.identity)
    await engines.loop.create_server(
        lambda: _Connection(engines), sock=loopback_listener(arguments.port), backlog=BACKLOG
    )
    # Standard input ends when the process that started us ends.
    await asyncio.to_thread(sys.stdin.read)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plain_engines")
    parser.add_argument("port", type=int)
    parser.add_argument("--answer-after", type=float, default=0.0)
    parser.add_argument("--silent", action="store_true")
    parser.add_argument("--identity", action="store_true")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    uvloop.run(_serve(parser.parse_args()))


if __name__ == "__main__":
    main()
