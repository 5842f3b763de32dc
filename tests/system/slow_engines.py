"""Slow engines: healthy, but so slow that at any moment of a tick some probe waits for an answer.

with SlowEngines(200, delay=0.03) as engines:
    engines.endpoints["game-7"]  # each has an address of its own on the loopback network

They live in a process of their own, which this file is when it is run as a program.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from contextlib import suppress
from typing import Self, cast

import uvloop

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


class SlowEngines:
    """So many engines in a child process, each of which answers 200 after `delay` seconds, until the context ends.

    Then `abandoned` is how many probes the prober gave up before their answer.
    """

    def __init__(self, count: int, *, delay: float) -> None:
        self._command = [sys.executable, __file__, str(count), str(delay)]
        self.endpoints: dict[str, str] = {}
        self.abandoned = 0

    def __enter__(self) -> Self:
        self._child = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._child.stdout is not None
        self.endpoints = json.loads(self._child.stdout.readline())
        return self

    def __exit__(self, *_: object) -> None:
        reply, _nothing = self._child.communicate()
        self.abandoned = json.loads(reply)


class SlowConnection(asyncio.Protocol):
    """One connection of a prober, with the answer that is due on it, if any."""

    abandoned = 0

    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one without inheriting from it

    def data_received(self, data: bytes) -> None:
        if data.endswith(b"\r\n\r\n"):
            self._answer = asyncio.get_running_loop().call_later(self._delay, self._write)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None:
            self._answer.cancel()
            SlowConnection.abandoned += 1

    def _write(self) -> None:
        self._answer = None
        if self._transport is not None:
            self._transport.write(OK)


async def serve(count: int, delay: float) -> None:
    loop = asyncio.get_running_loop()
    endpoints: dict[str, str] = {}
    for number in range(count):
        address = f"127.9.{number // 250}.{number % 250 + 1}"
        server = await loop.create_server(lambda: SlowConnection(delay), address, 0, backlog=1024)
        endpoints[f"game-{number}"] = f"http://{address}:{server.sockets[0].getsockname()[1]}"
    reply(endpoints)
    await asyncio.to_thread(sys.stdin.read)  # the pipe closes with the parent
    reply(SlowConnection.abandoned)


def reply(document: object) -> None:
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


def main() -> None:
    with suppress(PermissionError):
        os.nice(-10)  # engines must not be slowed by a busy machine
    uvloop.run(serve(int(sys.argv[1]), float(sys.argv[2])))


if __name__ == "__main__":
    main()
