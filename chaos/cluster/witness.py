"""Engines in a process of their own that are always healthy, and record when and from which connection they are probed.

python -m chaos.cluster.witness COUNT
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from contextlib import suppress
from functools import partial
from itertools import count
from typing import Any, Self, cast

import uvloop

_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
_GRACE = 5.0


Asked = tuple[float, int, int, int]
"""The time in monotonic seconds, the number of the engine, the local port and the number of the connection."""


class Witnesses:
    """So many engines, which end with the block, and also if this process dies. `ports` are theirs, in order."""

    def __init__(self, count: int) -> None:
        self.ports: list[int] = []
        self._count = count
        self._child: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "chaos.cluster.witness", str(self._count)]
        self._child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, process_group=0
        )
        self.ports = self._reply()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._child is not None
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()
        try:
            self._child.wait(_GRACE)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()

    def heard(self) -> list[Asked]:
        """Returns the requests since the last call, in order."""
        assert self._child is not None
        assert self._child.stdin is not None
        self._child.stdin.write("\n")
        self._child.stdin.flush()
        return [(at, engine, port, connection) for at, engine, port, connection in self._reply()]

    def _reply(self) -> Any:
        assert self._child is not None
        assert self._child.stdout is not None
        reply = self._child.stdout.readline()
        if not reply:
            raise RuntimeError("the engines' process has ended")
        return json.loads(reply)


class _Connection(asyncio.Protocol):
    """A connection of an instance, which sends one request after the other, each in one piece."""

    _numbers = count(1)

    def __init__(self, engine: int, notes: list[Asked]) -> None:
        self._engine = engine
        self._notes = notes
        self._port = 0
        self._number = next(self._numbers)
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._port = transport.get_extra_info("peername")[1]

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        if data.endswith(b"\r\n\r\n"):
            self._notes.append((time.monotonic(), self._engine, self._port, self._number))
            self._transport.write(_OK)


async def _serve(count: int) -> None:
    loop = asyncio.get_running_loop()
    notes: list[Asked] = []
    ports = []
    for engine in range(count):
        server = await loop.create_server(partial(_Connection, engine, notes), "127.0.0.1", 0)
        ports.append(server.sockets[0].getsockname()[1])
    _write(ports)
    # The pipe ends with the parent process, whatever ends that.
    while await asyncio.to_thread(sys.stdin.readline):
        recorded, notes[:] = list(notes), []
        _write(recorded)


def _write(document: object) -> None:
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
