"""A reverse proxy that serves a run below a path, which it strips, as `location /health/` in nginx does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@asynccontextmanager
async def sub_path_proxy(path: str, port: int, refused: list[str]) -> AsyncIterator[str]:
    """Yields the URL of `path` at a proxy in front of `port`. Other paths are not found, and put into `refused`."""

    connections: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            method, asked, rest = head.split(" ", 2)
            if asked.startswith(path):
                await _forward(f"{method} /{asked.removeprefix(path)} {_without_keep_alive(rest)}", port, writer)
            else:
                refused.append(asked)
                writer.write(_NOT_FOUND)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            writer.transport.abort()  # the browser has left, or the test has ended
        finally:
            connections.discard(task)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}{path}"
    finally:
        server.close()
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)


async def _forward(head: str, port: int, writer: asyncio.StreamWriter) -> None:
    upstream, request = await asyncio.open_connection("127.0.0.1", port)
    request.write(head.encode())
    try:
        while received := await upstream.read(65_536):
            writer.write(received)
            await writer.drain()
    finally:
        request.close()


def _without_keep_alive(rest: str) -> str:
    lines = [line for line in rest.split("\r\n") if not line.lower().startswith("connection:")]
    return "\r\n".join([lines[0], "Connection: close", *lines[1:]])
