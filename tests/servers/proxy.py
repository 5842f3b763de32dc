"""A TCP proxy that cuts, holds or refuses connections when a test says so."""

from __future__ import annotations

import asyncio
import ssl
from typing import Self, cast

_CHUNK = 65_536


class CuttingProxy:
    """Passes bytes between its own port on loopback and `upstream_port`, until a test changes that.

    async with CuttingProxy(server.port) as proxy:
        proxy.cut()             # every connection ends now, by a reset; new ones pass
        proxy.cut_after(0)      # the next request reaches the server, and its response is lost with the connection
        proxy.cut_after(10)     # the same, after ten bytes of responses
        proxy.hang()            # connections are accepted and stay open, and no byte passes
        proxy.hang_at(b"PUT")   # the same from the moment a client sends this, which is held back too
        await proxy.caught()    # returns once bytes are held back
        proxy.lead_to(port)     # new connections go there; those that are open stay where they are
        proxy.pass_on()         # passes on what was held back, and all that follows
        proxy.deafen()          # current clients are not read: one that closes in order waits
        proxy.refuse()          # every connection ends now, and new ones are refused by the kernel
        await proxy.accept()    # on the same port again

    With `tls` it speaks TLS to its clients and plain text to the server. `connections` is how many ever came, `open` is
    how many there are now. It lives on the loop it was entered on: call its methods only there. Leaving the
    context ends all connections.
    """

    def __init__(self, upstream_port: int, *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> None:
        self.port = 0
        self.connections = 0
        self._upstream = (host, upstream_port)
        self._tls = tls
        self._gate = asyncio.Event()
        self._gate.set()
        self._holding = asyncio.Event()
        self._hang_at = b""
        self._answer_bytes_left: int | None = None
        self._conversations: dict[asyncio.Task[None], list[asyncio.StreamWriter]] = {}
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        await self.accept()
        return self

    async def __aexit__(self, *_: object) -> None:
        ending = list(self._conversations)
        self.refuse()
        for conversation in ending:
            conversation.cancel()
        await asyncio.gather(*ending, return_exceptions=True)

    @property
    def open(self) -> int:
        return len(self._conversations)

    async def accept(self) -> None:
        """Accepts connections, on the same port as before."""
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self._tls)
            self.port = self._server.sockets[0].getsockname()[1]

    def lead_to(self, port: int) -> None:
        """Leads new connections to another port, as a name does after a failover. Open ones stay."""
        self._upstream = (self._upstream[0], port)

    def refuse(self) -> None:
        """Ends all connections; the kernel refuses new ones until `accept`."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.cut()

    def cut(self) -> None:
        """Ends all connections now. New ones pass."""
        self._answer_bytes_left = None
        for writers in self._conversations.values():
            for writer in writers:
                writer.transport.abort()

    def cut_after(self, answer_bytes: int) -> None:
        """Cuts all connections, once, after the next `answer_bytes` from the server."""
        self._answer_bytes_left = answer_bytes

    def hang(self) -> None:
        """Holds back all bytes in both directions."""
        self._hang_at = b""
        self._gate.clear()
        self._holding.clear()

    def hang_at(self, words: bytes) -> None:
        """Hangs, once, when a client has sent these words in one piece."""
        self._holding.clear()
        self._hang_at = words

    def deafen(self) -> None:
        """Stops reading from the current clients, even TLS's close_notify."""
        for client, *_ in self._conversations.values():
            cast(asyncio.Transport, client.transport).pause_reading()

    async def caught(self) -> None:
        """Waits until the first byte since `hang` is held back."""
        await self._holding.wait()

    def pass_on(self) -> None:
        """Passes on what was held back, and all that follows."""
        self._gate.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        conversation = asyncio.current_task()
        assert conversation is not None
        if self._server is None:
            writer.transport.abort()
            return
        self.connections += 1
        writers = self._conversations[conversation] = [writer]
        try:
            answers, upstream = await asyncio.open_connection(*self._upstream)
            writers.append(upstream)
            asking = asyncio.create_task(self._pass(reader, upstream))
            answering = asyncio.create_task(self._answer(answers, writer))
            try:
                await asyncio.wait({asking, answering}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                asking.cancel()
                answering.cancel()
                await asyncio.gather(asking, answering, return_exceptions=True)
        except OSError:
            pass  # the server is away: its client is disconnected, as by the server itself
        except asyncio.CancelledError:
            pass  # asyncio would log it as its own error
        finally:
            del self._conversations[conversation]
            for each in writers:
                each.close()

    async def _pass(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(_CHUNK):
            if self._hang_at and self._hang_at in data:
                self.hang()
            await self._pass_gate()
            sink.write(data)
            await sink.drain()

    async def _answer(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(_CHUNK):
            await self._pass_gate()
            left = self._answer_bytes_left
            passing = data if left is None else data[:left]
            sink.write(passing)
            await sink.drain()
            if left is not None:
                self._answer_bytes_left = left - len(passing)
                if len(passing) < len(data):
                    self._cut_all_but(sink)
                    return

    async def _pass_gate(self) -> None:
        if not self._gate.is_set():
            self._holding.set()
            await self._gate.wait()

    def _cut_all_but(self, sink: asyncio.StreamWriter) -> None:
        """Closes in order: the last bytes are still delivered."""
        self._answer_bytes_left = None
        for writers in self._conversations.values():
            for writer in writers:
                if writer is not sink:
                    writer.transport.abort()
