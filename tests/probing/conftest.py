"""The prober and the peers that it meets.

Every test here proves one thing more: once its prober is closed, no connection to any peer is left open.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack
from typing import Protocol

import pytest
from tests.probing.peers import Peer, Script

from healthprobe.probing.http import HttpProber


class StartPeer(Protocol):
    def __call__(self, script: Script, host: str = ..., port: int = ...) -> Coroutine[None, None, Peer]: ...


@pytest.fixture
async def peer() -> AsyncIterator[StartPeer]:
    """Starts peers; at the end of the test they must all be left alone."""
    async with AsyncExitStack() as stack:

        async def start(script: Script, host: str = "127.0.0.1", port: int = 0) -> Peer:
            return await stack.enter_async_context(Peer(script, host, port))

        yield start


@pytest.fixture
async def prober(peer: StartPeer) -> AsyncIterator[HttpProber]:
    prober = HttpProber()
    yield prober
    await prober.aclose()
