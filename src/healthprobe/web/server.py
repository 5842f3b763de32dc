"""The HTTP server: uvicorn on the loop of the run, at an address, from its start to its end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.types import ASGIApp

from healthprobe.web.connection_limits import LimitedH11Protocol, max_connections
from healthprobe.web.listen_address import ListenAddress
from healthprobe.web.listeners import listening

_SHUTDOWN_TIMEOUT = 0.3


@asynccontextmanager
async def serving(app: ASGIApp, address: ListenAddress) -> AsyncIterator[str]:
    """Serves `app` inside the context, which gives the URL. Open streams are closed at the end.

    Raises ConfigurationError if the address cannot be listened at.
    """
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
    with listening(address) as listeners:
        task = asyncio.create_task(server.serve(sockets=listeners))
        try:
            yield address.url if address.path else ListenAddress(address.host, listeners[0].getsockname()[1]).url
        finally:
            server.should_exit = True
            server.force_exit = True
            await asyncio.wait({task}, timeout=_SHUTDOWN_TIMEOUT)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            server.abort_connections()


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
