"""The proxy cuts, holds and refuses connections at the exact byte."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.servers.proxy import CuttingProxy

Conversation = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Loud:
    """An echo server that records what it received."""

    def __init__(self) -> None:
        self.heard = b""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1000):
            self.heard += data
            writer.write(data)
        writer.close()


@pytest.fixture
def loud() -> Loud:
    return Loud()


@pytest.fixture
async def proxy(loud: Loud) -> AsyncIterator[CuttingProxy]:
    server = await asyncio.start_server(loud.serve, "127.0.0.1", 0)
    async with server, CuttingProxy(server.sockets[0].getsockname()[1]) as proxy:
        yield proxy


@pytest.fixture
async def conversation(proxy: CuttingProxy) -> AsyncIterator[Conversation]:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    assert await answer(reader, writer, b"hello") == b"hello"
    yield reader, writer
    writer.transport.abort()


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: bytes) -> bytes:
    """Returns what comes back, until all of it has come or the connection ends."""
    writer.write(asked)
    try:
        return await reader.readexactly(len(asked))
    except asyncio.IncompleteReadError as error:
        return error.partial
    except ConnectionError:
        return b""


async def test_a_cut_ends_one_connection_and_allows_the_next(proxy: CuttingProxy, conversation: Conversation) -> None:
    proxy.cut()
    assert await answer(*conversation, b"more") == b""
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    assert await answer(reader, writer, b"again") == b"again"
    assert (proxy.connections, proxy.open) == (2, 1)
    writer.close()


@pytest.mark.parametrize("passing", [0, 3])
async def test_a_cut_after_some_bytes_passes_all_to_the_server_and_only_those_to_the_client(
    proxy: CuttingProxy, conversation: Conversation, loud: Loud, passing: int
) -> None:
    proxy.cut_after(passing)
    assert await answer(*conversation, b"question") == b"question"[:passing]
    assert loud.heard == b"helloquestion"


async def test_a_cut_after_some_bytes_counts_over_several_answers(
    proxy: CuttingProxy, conversation: Conversation
) -> None:
    proxy.cut_after(6)
    assert await answer(*conversation, b"one") == b"one"
    assert await answer(*conversation, b"two") == b"two"
    assert await answer(*conversation, b"three") == b""


async def test_held_bytes_are_passed_on_later(proxy: CuttingProxy, conversation: Conversation, loud: Loud) -> None:
    proxy.hang()
    waiting = asyncio.create_task(answer(*conversation, b"question"))
    await proxy.caught()
    assert (loud.heard, waiting.done()) == (b"hello", False)
    proxy.pass_on()
    assert await waiting == b"question"


async def test_it_can_hold_back_from_certain_words_on(
    proxy: CuttingProxy, conversation: Conversation, loud: Loud
) -> None:
    proxy.hang_at(b"quest")
    assert await answer(*conversation, b"more") == b"more"
    waiting = asyncio.create_task(answer(*conversation, b"a question"))
    await proxy.caught()
    assert (loud.heard, waiting.done()) == (b"hellomore", False)
    proxy.pass_on()
    assert await waiting == b"a question"
    assert await answer(*conversation, b"question") == b"question", "once is enough"


async def test_connections_are_accepted_again_on_the_same_port(proxy: CuttingProxy, conversation: Conversation) -> None:
    port = proxy.port
    proxy.refuse()
    assert await answer(*conversation, b"more") == b""
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
    await proxy.accept()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    assert await answer(reader, writer, b"again") == b"again"
    writer.close()


async def test_a_client_is_disconnected_if_its_server_is_away() -> None:
    async with CuttingProxy(1, host="127.0.0.1") as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        assert await answer(reader, writer, b"hello") == b""
        writer.close()
