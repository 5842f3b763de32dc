"""The canary: an engine unknown to the program, asked by us. Where it answers late, so do all engines."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit

_ASK_EVERY = 0.05
_REQUEST = b"GET /healthz HTTP/1.1\r\nHost: canary\r\n\r\n"


class Canary:
    """Asks the healthy engine at `endpoint` on a fresh connection each time, as a program does that has just begun.

    `slowest` is the longest that it took since this was last set to 0, in seconds.
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
