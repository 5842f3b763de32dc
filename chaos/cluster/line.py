"""The proxies between one instance and all nodes of the cluster. Its engines are reached without them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Self

from tests.servers.proxy import CuttingProxy


class Line:
    """Proxies for the nodes on these ports, which are cut and stalled together.

    `appends` is a byte string that an instance sends with each append, and at no other time.
    """

    def __init__(self, ports: Sequence[int], appends: bytes) -> None:
        self._appends = appends
        self._proxies = [CuttingProxy(port) for port in ports]
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        for proxy in self._proxies:
            await self._stack.enter_async_context(proxy)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @property
    def url(self) -> str:
        """The URL of the cluster through the proxies."""
        return f"nats://{','.join(f'127.0.0.1:{proxy.port}' for proxy in self._proxies)}"

    def cut(self) -> None:
        """Closes connections and refuses new ones until `mend`."""
        for proxy in self._proxies:
            proxy.refuse()

    async def mend(self) -> None:
        """Accepts connections again."""
        for proxy in self._proxies:
            await proxy.accept()

    async def stall(self, *, within: float) -> None:
        """Stops all bytes from the next append on, or after `within` seconds, until `flow`."""
        caught = [asyncio.create_task(proxy.caught()) for proxy in self._proxies]
        for proxy in self._proxies:
            proxy.hang_at(self._appends)
        try:
            await asyncio.wait(caught, timeout=within, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in caught:
                each.cancel()
            for proxy in self._proxies:
                proxy.hang()

    def flow(self) -> None:
        """Passes on what was held back."""
        for proxy in self._proxies:
            proxy.pass_on()
