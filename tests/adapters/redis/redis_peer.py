"""A server that speaks Redis's protocol and answers by script, for answers that a real one rarely gives."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Self

import hiredis


class RedisPeer:
    """Answers each command of a client by `answer`, which gets its words."""

    def __init__(self, answer: Callable[[list[bytes]], bytes]) -> None:
        self._answer = answer
        self._writers: list[asyncio.StreamWriter] = []

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        asked = hiredis.Reader()
        while data := await reader.read(65_536):
            asked.feed(data)
            while words := asked.gets():
                writer.write(self._answer(words))
        writer.close()
