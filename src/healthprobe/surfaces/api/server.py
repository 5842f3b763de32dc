"""The server: uvicorn on the loop of the run, at one address, from its start to its end."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_address

import uvicorn
from starlette.types import ASGIApp

from healthprobe.ports import ConfigurationError

_LET_GO_WITHIN = 0.3
_MOST_CONNECTIONS = 512


@dataclass(frozen=True, slots=True)
class Listen:
    """Where to listen: a host, which may be a name, and a port, 0 for any that is free."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether nobody but this machine can reach it."""
        if self.host == "localhost":
            return True
        with contextlib.suppress(ValueError):
            return ip_address(self.host).is_loopback
        return False

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def parse_listen(text: str) -> Listen:
    """`HOST:PORT`, with a host of IPv6 in brackets. Raises ValueError."""
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not (colon and host and port.isascii() and port.isdecimal() and int(port) < 65536):
        raise ValueError(f"{text!r} is no address to listen at: write one such as 127.0.0.1:8600")
    return Listen(host, int(port))


@asynccontextmanager
async def serving(app: ASGIApp, at: Listen) -> AsyncIterator[str]:
    """Serve `app` as long as somebody is inside; gives the address as a URL.

    Raises ConfigurationError where nobody can listen there. Streams are cut off in the end.
    """
    listener = _bound(at)
    port = listener.getsockname()[1]
    config = uvicorn.Config(
        app,
        http="h11",
        ws="none",
        lifespan="off",
        loop="none",
        log_config=None,
        access_log=False,
        server_header=False,
        limit_concurrency=_MOST_CONNECTIONS,
        timeout_graceful_shutdown=0,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield f"http://{Listen(at.host, port)}/"
    finally:
        server.should_exit = True
        server.force_exit = True
        await asyncio.wait({serving}, timeout=_LET_GO_WITHIN)
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        listener.close()


class _Server(uvicorn.Server):
    """Signals are the run's own business."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _bound(at: Listen) -> socket.socket:
    try:
        found = socket.getaddrinfo(at.host, at.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        raise ConfigurationError(f"--listen {at}: {(error.strerror or str(error)).lower()}; choose another") from error
    listener.setblocking(False)
    return listener
