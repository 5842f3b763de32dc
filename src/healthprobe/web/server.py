"""The HTTP server: uvicorn on the loop of the run, at one address, from its start to its end."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.types import ASGIApp

from healthprobe.ports import ConfigurationError
from healthprobe.web.connection_limits import LimitedH11Protocol, max_connections
from healthprobe.web.listen_address import ListenAddress

_SHUTDOWN_TIMEOUT = 0.3


@asynccontextmanager
async def serving(app: ASGIApp, address: ListenAddress) -> AsyncIterator[str]:
    """Serves `app` inside the context, which gives the URL. Open streams are closed at the end.

    Raises ConfigurationError if the address cannot be listened at.
    """
    listener = _listener(address)
    port = listener.getsockname()[1]
    config = uvicorn.Config(
        app,
        http=LimitedH11Protocol,
        ws="none",
        lifespan="off",
        loop="none",
        log_config=None,
        access_log=False,
        server_header=False,
        limit_concurrency=max_connections(),
        timeout_graceful_shutdown=0,
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield f"http://{ListenAddress(address.host, port)}/"
    finally:
        server.should_exit = True
        server.force_exit = True
        await asyncio.wait({task}, timeout=_SHUTDOWN_TIMEOUT)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        server.abort_connections()
        listener.close()


class _Server(uvicorn.Server):
    """A server that leaves signals to the run."""

    def abort_connections(self) -> None:
        """Closes what uvicorn has not closed in time, so that no client waits for a response that never comes."""
        for server in getattr(self, "servers", ()):
            server.close()
        for connection in list(self.server_state.connections):
            connection.transport.abort()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _listener(at: ListenAddress) -> socket.socket:
    try:
        found = socket.getaddrinfo(at.host, at.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen()  # before the URL is printed: a client may connect before uvicorn is ready
    except OSError as error:
        raise ConfigurationError(f"--listen {at}: {(error.strerror or str(error)).lower()}; choose another") from error
    listener.setblocking(False)
    return listener
