"""Bodies are never waited for or judged, and read only to keep the connection."""

from __future__ import annotations

import asyncio
import gzip
import time
import tracemalloc

import pytest
from tests.probing.conftest import StartPeer
from tests.probing.peers import OK, Connection, answering, response, sending
from tests.probing.probes import assert_failed, probes

from healthprobe.domain.outcome import HEALTHY
from healthprobe.probing.http import HTTPProber

KIB = 1024
MIB = 1024 * KIB
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def announcing(length: int) -> bytes:
    """A head that promises a body of `length` bytes."""
    return f"HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n".encode()


HANGING = {
    "no byte of a body": announcing(10),
    "the beginning of a body": announcing(10) + b"hang",
    "a terabyte announced": announcing(10**12) + b"x" * KIB,
    "a body that ends by closing": b"HTTP/1.1 200 OK\r\n\r\nok",
    "no chunk": CHUNKED,
    "half a chunk": CHUNKED + b"a\r\nhang",
    "no end of the chunks": CHUNKED + b"2\r\nok\r\n",
    "a trailer without end": CHUNKED + b"0\r\nX-Trailer: ",
}
CORRUPT = {
    "a chunk's length in words": CHUNKED + b"two\r\nok\r\n0\r\n\r\n",
    "a chunk's length without end": CHUNKED + b"0" * 10 * KIB,
    "a negative chunk": CHUNKED + b"-1\r\nok\r\n0\r\n\r\n",
    "a chunk longer than announced": CHUNKED + b"1\r\nok\r\n0\r\n\r\n",
    "gzip that is none": response(200, "Content-Encoding: gzip", body=b"ok"),
    "gzip that is cut off": response(200, "Content-Encoding: gzip", body=gzip.compress(b"ok" * 99)[:20]),
    "an unknown encoding": response(200, "Content-Encoding: nonsense", body=b"ok"),
    "more than announced": announcing(1) + b"ok and more",
}
KEPT = {
    "no body": response(body=b""),
    "a small body": OK,
    "gzip": response(200, "Content-Encoding: gzip", body=gzip.compress(b"ok" * 999)),
    "chunks": CHUNKED + b"2\r\nok\r\n4;extension=1\r\nokay\r\n0\r\nX-Trailer: 1\r\n\r\n",
    "exactly 64 KiB": response(body=b"x" * 64 * KIB),
}


@pytest.mark.parametrize("answer", [*HANGING.values(), *CORRUPT.values()], ids=[*HANGING, *CORRUPT])
async def test_a_healthy_head_is_healthy_with_any_body(answer: bytes, peer: StartPeer, prober: HTTPProber) -> None:
    engine = await peer(answering(answer))
    begun = time.monotonic()

    assert await probes(prober, engine.target(timeout=2.0), 2) == [HEALTHY] * 2
    assert time.monotonic() - begun < 1.0, "the verdict waits neither for the body nor for a second chance"


@pytest.mark.parametrize("answer", KEPT.values(), ids=KEPT.keys())
async def test_a_connection_is_kept_when_its_body_has_ended(answer: bytes, peer: StartPeer, prober: HTTPProber) -> None:
    engine = await peer(answering(answer))
    target = engine.target()

    for asked in range(1, 5):
        assert await prober.probe(target) == HEALTHY
        await came_to_rest()
        assert len(engine.requests) == asked
    assert engine.connections == 1


@pytest.mark.parametrize("size", [64 * KIB + 1, 128 * KIB, 300_000, 10 * MIB])
async def test_a_body_larger_than_64_kib_closes_its_connection(size: int, peer: StartPeer, prober: HTTPProber) -> None:
    engine = await peer(answering(response(body=b"x" * size)))
    target = engine.target()

    for asked in range(1, 4):
        assert await prober.probe(target) == HEALTHY
        assert not await engine.settled()
        assert engine.connections == asked


async def test_the_rest_of_a_body_is_drained_and_the_connection_kept(peer: StartPeer, prober: HTTPProber) -> None:
    whole = asyncio.Event()

    async def script(connection: Connection) -> None:
        while True:
            await connection.request()
            await connection.drip([announcing(4), b"1", b"2", b"34"], pause=0.01)
            whole.set()

    engine = await peer(script)
    target = engine.target()

    for _ in range(3):
        assert await prober.probe(target) == HEALTHY
        await whole.wait()
        whole.clear()
        await came_to_rest()
    assert engine.connections == 1


async def test_a_probe_during_a_body_opens_another_connection(peer: StartPeer, prober: HTTPProber) -> None:
    engine = await peer(sending(announcing(10) + b"hang"))

    assert await probes(prober, engine.target(), 3) == [HEALTHY] * 3
    assert engine.connections == 3


async def test_a_body_that_hangs_closes_its_connection(peer: StartPeer, prober: HTTPProber) -> None:
    engine = await peer(sending(announcing(10) + b"hang"))

    assert await prober.probe(engine.target()) == HEALTHY

    assert not await engine.settled(within=2.0)


@pytest.mark.proves("body-endless")
async def test_an_endless_body_is_healthy_and_cut_off(peer: StartPeer, prober: HTTPProber) -> None:
    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(announcing(10**12))
        while True:
            await connection.send(b"x" * 64 * KIB)

    engine = await peer(script)
    target = engine.target()
    await prober.probe(target)

    tracemalloc.start()
    assert await prober.probe(target) == HEALTHY
    assert not await engine.settled()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < MIB


@pytest.mark.parametrize("end", ["close", "reset"])
async def test_a_connection_that_ends_in_the_body_is_healthy_and_not_kept(
    end: str, peer: StartPeer, prober: HTTPProber
) -> None:
    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.drip([announcing(10), b"hang"], pause=0.01)
        if end == "reset":
            connection.reset()

    engine = await peer(script)

    for asked in range(1, 4):
        assert await prober.probe(engine.target()) == HEALTHY
        assert not await engine.settled()
        assert engine.connections == asked


async def test_the_body_of_a_failed_answer_is_not_waited_for(peer: StartPeer, prober: HTTPProber) -> None:
    engine = await peer(sending(b"HTTP/1.1 503 Busy\r\nContent-Length: 100\r\n\r\nnot now"))

    assert_failed(await prober.probe(engine.target()), "unexpected status 503", 503)
    assert not await engine.settled()


async def came_to_rest(seconds: float = 0.01) -> None:
    """Waits until data in flight has arrived."""
    await asyncio.sleep(seconds)
