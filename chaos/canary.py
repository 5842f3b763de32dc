"""The canary: an engine that only the harness probes. When it answers late, all engines do."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit

_ASK_EVERY = 0.05
_REQUEST = b"GET /healthz HTTP/1.1\r\nHost: canary\r\n\r\n"


class Canary:
    """Probes the healthy engine at `endpoint`, each time on a fresh connection, as a new program does.

    `slowest` is the longest answer since it was last set to 0, in seconds.
    """

    def __init__(self, endpoint: str) -> None:
        self.slowest = 0.0
        self._address = urlsplit(endpoint)
        self._asking: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._asking = asyncio.create_task(self._ask_again_and_again())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._asking is not None
        self._asking.cancel()
        await asyncio.gather(self._asking, return_exceptions=True)

    async def _ask_again_and_again(self) -> None:
        while True:
            began = time.monotonic()
            with suppress(OSError, asyncio.IncompleteReadError):
                await self._ask()
            self.slowest = max(self.slowest, time.monotonic() - began)
            await asyncio.sleep(_ASK_EVERY)

    async def _ask(self) -> None:
        reader, writer = await asyncio.open_connection(self._address.hostname, self._address.port)
        try:
            writer.write(_REQUEST)
            await reader.readuntil(b"\r\n\r\n")
        finally:
            writer.close()
