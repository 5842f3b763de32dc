"""A proxy that cuts off what is sent to a server in the middle, so that the server gets half a statement."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Self

_CHUNK = 65_536


class Tear:
    """Passes bytes between its own port on loopback and `upstream_port`. `after` cuts all connections once."""

    def __init__(self, upstream_port: int) -> None:
        self.port = 0
        self._upstream_port = upstream_port
        self._bytes_left: int | None = None
        self._conversations: dict[asyncio.Task[None], list[asyncio.StreamWriter]] = {}
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        ending = list(self._conversations)
        for conversation in ending:
            conversation.cancel()
        await asyncio.gather(*ending, return_exceptions=True)

    def after(self, sent_bytes: int) -> None:
        """Cuts all connections, once, when more than `sent_bytes` bytes have been sent to the server."""
        self._bytes_left = sent_bytes

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        conversation = asyncio.current_task()
        assert conversation is not None
        writers = self._conversations[conversation] = [writer]
        passing: list[asyncio.Task[None]] = []
        try:
            answers, server = await asyncio.open_connection("127.0.0.1", self._upstream_port)
            writers.append(server)
            passing += [asyncio.create_task(self._send(reader, server)), asyncio.create_task(_answer(answers, writer))]
            await asyncio.wait(passing, return_when=asyncio.FIRST_COMPLETED)
        except (OSError, asyncio.CancelledError):
            pass  # the server is down or this proxy ends; either way the client is closed below
        finally:
            for task in passing:
                task.cancel()
            await asyncio.gather(*passing, return_exceptions=True)
            del self._conversations[conversation]
            for each in writers:
                each.close()

    async def _send(self, client: asyncio.StreamReader, server: asyncio.StreamWriter) -> None:
        while data := await client.read(_CHUNK):
            left = self._bytes_left
            server.write(data[:left])
            await server.drain()
            if left is not None:
                self._bytes_left = left - len(data)
                if left < len(data):
                    self._tear()
                    return

    def _tear(self) -> None:
        """Closes every connection. The server still reads the half that it was sent."""
        self._bytes_left = None
        for client, *server in self._conversations.values():
            client.transport.abort()
            for each in server:
                each.close()


async def _answer(server: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await server.read(_CHUNK):
            client.write(data)
            await client.drain()
