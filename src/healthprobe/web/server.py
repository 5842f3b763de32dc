"""The server: uvicorn on the loop of the run, at one address, from its start to its end."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.types import ASGIApp

from healthprobe.ports import ConfigurationError
from healthprobe.web.connection_limits import Door, most_connections
from healthprobe.web.listen_address import Listen

_LET_GO_WITHIN = 0.3


@asynccontextmanager
async def serving(app: ASGIApp, at: Listen) -> AsyncIterator[str]:
    """Serve `app` as long as somebody is inside; gives the address as a URL.

    Raises ConfigurationError where nobody can listen there. Streams are cut off in the end.
    """
    listener = _bound(at)
    port = listener.getsockname()[1]
    config = uvicorn.Config(
        app,
        http=Door,
        ws="none",
        lifespan="off",
        loop="none",
        log_config=None,
        access_log=False,
        server_header=False,
        limit_concurrency=most_connections(),
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
        server.let_go()
        listener.close()


class _Server(uvicorn.Server):
    """Signals are the run's own business."""

    def let_go(self) -> None:
        """Cut off who is still there: a busy machine may not come to it in time, and readers would wait for nothing."""
        for each in getattr(self, "servers", ()):
            each.close()
        for connection in list(self.server_state.connections):
            connection.transport.abort()

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
        listener.listen()  # whoever is told the address may come before uvicorn looks
    except OSError as error:
        raise ConfigurationError(f"--listen {at}: {(error.strerror or str(error)).lower()}; choose another") from error
    listener.setblocking(False)
    return listener
