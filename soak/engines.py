"""The engines: every 127.x.y.z on one port, each healthy most of the time and faulty now and then.

    python -m soak.engines PORT --faulty SHARE --seed N

Time is cut into slices; what an engine does in a slice follows from its address, the slice and the seed. Most answer
200. The others answer 503, hang, reset the connection, send what is not HTTP, answer late, or send an endless body.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import socket
import struct
import sys
import time
from hashlib import blake2b
from typing import cast

import uvloop
from benchmarks.plain_engines import BACKLOG, loopback_listener

SLICE = 10.0
"""How long an engine keeps its behaviour, in seconds: long enough for an incident."""

LATE = 0.3
"""The delay of a slow engine, in seconds: within the timeout."""

FAULTS = ("unavailable", "hang", "reset", "garbage", "slow", "flood")

_HEALTHY = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"
_ANSWERS = {
    "": _HEALTHY,
    "unavailable": b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
    "garbage": b"\x00\xff" * 500 + b"\r\n\r\n",
    "flood": b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 100_000,
}
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


def fault_of(address: str, at: float, share: float, seed: int) -> str:
    """Returns the fault of the engine at `address` at this time, or an empty string.

    >>> fault_of("127.0.0.1", 0.0, share=0.0, seed=1)
    ''
    """
    # A checksum would not do: it gives neighbouring slices the same faulty engines.
    chance = int.from_bytes(blake2b(f"{address}/{int(at / SLICE)}/{seed}".encode(), digest_size=4).digest())
    return FAULTS[chance % len(FAULTS)] if chance / 2**32 < share else ""


class _Connection(asyncio.Protocol):
    """One connection. A probe fits one segment and is never pipelined, so each chunk is one request."""

    def __init__(self, share: float, seed: int) -> None:
        self._share = share
        self._seed = seed
        self._address = ""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._address = transport.get_extra_info("sockname")[0]

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._transport = None

    def data_received(self, data: bytes) -> None:  # noqa: ARG002  all requests are probes
        fault = fault_of(self._address, time.monotonic(), self._share, self._seed)
        if fault in _ANSWERS:
            self._write(_ANSWERS[fault])
        elif fault == "slow":
            asyncio.get_running_loop().call_later(LATE, self._write, _HEALTHY)
        elif fault == "reset" and self._transport is not None:
            peer = self._transport.get_extra_info("socket")
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self._transport.abort()

    def _write(self, answer: bytes) -> None:
        if self._transport is not None:
            self._transport.write(answer)


async def _serve(arguments: argparse.Namespace) -> None:
    loop = asyncio.get_running_loop()
    listener = loopback_listener(arguments.port)
    await loop.create_server(lambda: _Connection(arguments.faulty, arguments.seed), sock=listener, backlog=BACKLOG)
    # Standard input closes with the parent, however that ends.
    await asyncio.to_thread(sys.stdin.read)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m soak.engines")
    parser.add_argument("port", type=int)
    parser.add_argument("--faulty", type=float, default=0.03)
    parser.add_argument("--seed", type=int, default=0)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    uvloop.run(_serve(parser.parse_args()))


if __name__ == "__main__":
    main()
