"""Fixtures: a prober, and peers. Every test also checks that a closed prober leaves no connection open."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import AsyncExitStack, ExitStack
from typing import Any, Protocol

import pytest
from tests.probing.peers import Peer, Script

from healthprobe.probing.http import HTTPProber


class StartPeer(Protocol):
    def __call__(self, script: Script, host: str = ..., port: int = ...) -> Coroutine[None, None, Peer]: ...


@pytest.fixture
async def peer() -> AsyncIterator[StartPeer]:
    """Starts peers and checks at the end that no connection to them is open."""
    async with AsyncExitStack() as stack:

        async def start(script: Script, host: str = "127.0.0.1", port: int = 0) -> Peer:
            return await stack.enter_async_context(Peer(script, host, port))

        yield start


@pytest.fixture
async def prober(peer: StartPeer) -> AsyncIterator[HTTPProber]:
    """A prober, with a check that no exception reaches the loop's handler."""
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, complaint: complaints.append(complaint))
    async with HTTPProber() as prober:
        yield prober
    assert not complaints


@pytest.fixture
def without_syn_ack() -> Iterator[str]:
    """The endpoint of a listener with a full backlog: the kernel drops each SYN."""
    with ExitStack() as sockets:
        listener = sockets.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            waiting = sockets.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
