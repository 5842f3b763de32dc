"""Peers: real sockets of the test's own, each following a script byte by byte."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable, Iterable
from types import TracebackType
from typing import Self

from tests.probing.probes import PATIENT, target_at

from healthprobe.domain.target import ProbeTarget

END_OF_HEAD = b"\r\n\r\n"


class ProberLeft(Exception):
    """The prober closed or reset the connection."""


def response(status: int | str = 200, *headers: str, body: bytes | None = b"ok", version: str = "1.1") -> bytes:
    """A response; its Content-Length is right unless `body` is None, which leaves both out."""
    lines = [f"HTTP/{version} {status} Whatever", *headers]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + (body or b"")


OK = response()


class Connection:
    """One connection that a prober opened, in the hands of a script."""

    def __init__(self, sock: socket.socket, number: int, requests: list[bytes]) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.number = number
        self._socket = sock
        self._requests = requests
        self._unread = b""

    async def request(self) -> bytes:
        """The head of the next request. Raises ProberLeft where none comes."""
        while END_OF_HEAD not in self._unread:
            self._unread += await self._receive()
        head, _, self._unread = self._unread.partition(END_OF_HEAD)
        self._requests.append(head)
        return head

    async def anything(self) -> bytes:
        """Whatever comes next, request or not. Raises ProberLeft where nothing does."""
        return await self._receive()

    async def send(self, data: bytes) -> None:
        try:
            await asyncio.get_running_loop().sock_sendall(self._socket, data)
        except OSError as error:
            raise ProberLeft from error

    async def drip(self, chunks: Iterable[bytes], pause: float) -> None:
        """Send one chunk every `pause` seconds."""
        for chunk in chunks:
            await self.send(chunk)
            await asyncio.sleep(pause)

    async def silence(self) -> None:
        """Send nothing more. Raises ProberLeft when the prober gives up."""
        while True:
            self._unread += await self._receive()

    def reset(self) -> None:
        """Close with a reset instead of an orderly end."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def close(self) -> None:
        self._socket.close()

    async def _receive(self) -> bytes:
        try:
            data = await asyncio.get_running_loop().sock_recv(self._socket, 65536)
        except OSError as error:
            raise ProberLeft from error
        if not data:
            raise ProberLeft
        return data


Script = Callable[[Connection], Awaitable[None]]


class Peer:
    """A listening socket that follows `script` on each connection, and counts.

    `connections` and `requests` are all that ever came, `open` those that are open now, `most_open` the most at a time.
    """

    def __init__(self, script: Script, host: str = "127.0.0.1", port: int = 0) -> None:
        self.connections = self.open = self.most_open = 0
        self.requests: list[bytes] = []
        self.script = script
        self._listener = socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=4096
        )
        self._listener.setblocking(False)
        self._host = host
        self.port: int = self._listener.getsockname()[1]
        self._conversations: set[asyncio.Task[None]] = set()
        self._errors: list[Exception] = []

    def url(self, prefix: str = "", *, host: str = "", credentials: str = "") -> str:
        shown = host or (f"[{self._host}]" if ":" in self._host else self._host)
        return f"http://{credentials}{shown}:{self.port}{prefix}"

    def target(self, timeout: float = PATIENT) -> ProbeTarget:
        return target_at(self.url(), timeout)

    async def settled(self, within: float = 0.3) -> int:
        """How many connections are still open once those that are ending have ended, in seconds from now."""
        if self._conversations:
            await asyncio.wait(self._conversations, timeout=within)
        return self.open

    async def stop_listening(self) -> None:
        """Closes the listener and serves on the connections that are open."""
        self._accepting.cancel()
        await asyncio.wait({self._accepting})
        self._listener.close()

    async def __aenter__(self) -> Self:
        self._accepting = asyncio.create_task(self._accept())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._accepting.cancel()
        await asyncio.wait({self._accepting})
        self._listener.close()
        left_open = set[asyncio.Task[None]]()
        if self._conversations:
            _, left_open = await asyncio.wait(self._conversations, timeout=2)
        for conversation in left_open:
            conversation.cancel()
        if error is None:
            assert not self._errors
            assert not left_open, "the prober left connections open"

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            accepted, _ = await loop.sock_accept(self._listener)
            self.connections += 1
            conversation = asyncio.create_task(self._converse(Connection(accepted, self.connections, self.requests)))
            self._conversations.add(conversation)
            conversation.add_done_callback(self._conversations.discard)

    async def _converse(self, connection: Connection) -> None:
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            await self.script(connection)
        except ProberLeft:
            pass
        except Exception as error:  # noqa: BLE001  raised at the end of the test
            self._errors.append(error)
        finally:
            self.open -= 1
            connection.close()


def answering(*responses: bytes) -> Script:
    """Answer each request on a connection with the next of `responses`, and go on with the last."""

    async def script(connection: Connection) -> None:
        for answer in responses:
            await connection.request()
            await connection.send(answer)
        while True:
            await connection.request()
            await connection.send(responses[-1])

    return script


def sending(data: bytes) -> Script:
    """Send `data` after the first request and nothing more, with the connection held open."""

    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(data)
        await connection.silence()

    return script


def first_then(first: Script, later: Script) -> Script:
    """One script for the first connection and one for all that follow."""

    async def script(connection: Connection) -> None:
        await (first if connection.number == 1 else later)(connection)

    return script


def once_then(second: bytes | None, after: float = 0.0, end: str = "silence") -> Script:
    """Healthy at the first request; `after` seconds after the second, send `second`, then close, reset or wait."""

    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(OK)
        await connection.request()
        await asyncio.sleep(after)
        if second is not None:
            await connection.send(second)
        if end == "reset":
            connection.reset()
        elif end == "silence":
            await connection.silence()

    return script
