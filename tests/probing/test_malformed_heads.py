"""A malformed response is a failure with status 0 that describes it, at a bounded cost."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import Iterator
from itertools import cycle

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.probing.conftest import StartPeer
from tests.probing.peers import OK, Connection, Peer, Script, answering, response, sending
from tests.probing.probes import assert_failed, probes

from healthprobe.domain.outcome import HEALTHY, Failed, Healthy, ProbeOutcome
from healthprobe.probing.http import HTTPProber

KIB = 1024
MIB = 1024 * KIB
HEAD_LIMIT = 64 * KIB
TLS_ALERT = b"\x15\x03\x01\x00\x02\x02\x46"
TLS_HELLO = b"\x16\x03\x03\x00\x7a\x02\x00\x00\x76\x03\x03" + bytes(range(32))
HTTP_2_SETTINGS = (
    b"\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x80\x00\x04\x00\x01\x00\x00\x00\x05\x00\xff\xff\xff"
)

MALFORMED = {
    "an SSH banner": (b"SSH-2.0-OpenSSH_9.6\r\n", "SSH"),
    "a TLS alert": (TLS_ALERT, "TLS"),
    "a TLS handshake": (TLS_HELLO, "TLS"),
    "binary": (bytes(range(256)), "status line|not HTTP"),
    "zeros": (b"\x00" * 100, "status line|not HTTP"),
    "an HTTP/0.9 body": (b"<html><body>ok</body></html>\n", "not HTTP|status line"),
    "plain text": (b"OK\r\n\r\n", "status line|not HTTP"),
    "a request": (b"GET / HTTP/1.1\r\nHost: game-7\r\n\r\n", "status line|not HTTP"),
    "an SMTP greeting": (b"220 mail.example ESMTP\r\n", "status line|not HTTP"),
    "a Redis error": (b"-ERR unknown command 'GET'\r\n", "status line|not HTTP"),
    "an HTTP/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "status line|HTTP"),
    "an HTTP/2 frame": (HTTP_2_SETTINGS, "HTTP/2"),
    "HTTP/2 in words": (b"HTTP/2 200\r\n\r\n", "version|HTTP"),
    "HTTP/3 in words": (b"HTTP/3.0 200 OK\r\n\r\n", "version"),
    "HTTP/0.9 in words": (b"HTTP/0.9 200 OK\r\n\r\n", "version"),
    "HTTP/1.2": (b"HTTP/1.2 200 OK\r\n\r\n", "version"),
    "lower case": (b"http/1.1 200 OK\r\n\r\n", "status line"),
    "another protocol's name": (b"HTTQ/1.1 200 OK\r\n\r\n", "status line"),
    "an RTSP response": (b"RTSP/1.0 200 OK\r\n\r\n", "status line"),
    "an ICE greeting": (b"ICE/1.0 200 OK\r\n\r\n", "status line"),
    "a status of two digits": (b"HTTP/1.1 20 OK\r\n\r\n", "head|status"),
    "a status of four digits": (b"HTTP/1.1 2000 OK\r\n\r\n", "head|status"),
    "a status in words": (b"HTTP/1.1 OK\r\n\r\n", "head|status"),
    "a negative status": (b"HTTP/1.1 -200 OK\r\n\r\n", "head|status"),
    "a status below 100": (b"HTTP/1.1 099 OK\r\n\r\n", "head|status"),
    "status 0": (b"HTTP/1.1 000 OK\r\n\r\n", "head|status"),
    "no status": (b"HTTP/1.1\r\n\r\n", "head|status"),
    "a blank line": (b"\r\n" + OK, "status line"),
    "a header without a colon": (b"HTTP/1.1 200 OK\r\nno colon here\r\n\r\n", "head"),
    "a header without a name": (b"HTTP/1.1 200 OK\r\n: value\r\n\r\n", "head"),
    "a parenthesis in a header's name": (b"HTTP/1.1 200 OK\r\nX(1): 1\r\n\r\n", "head"),
    "NUL in a header's name": (b"HTTP/1.1 200 OK\r\nX-\x00: 1\r\n\r\n", "head"),
    "NUL in a header's value": (b"HTTP/1.1 200 OK\r\nX-Name: a\x00b\r\n\r\n", "head"),
    "a lone CR in a header": (b"HTTP/1.1 200 OK\r\nX-Name: a\rb\r\n\r\n", "head"),
    "conflicting lengths": (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok", "Content-Length"),
    "a negative length": (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "Content-Length"),
    "a length in words": (b"HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\nok", "Content-Length"),
    "a length in hex": (b"HTTP/1.1 200 OK\r\nContent-Length: 0x2\r\n\r\nok", "Content-Length"),
    "a list of lengths": (b"HTTP/1.1 200 OK\r\nContent-Length: 2, 3\r\n\r\nok", "Content-Length"),
    "no length after its name": (b"HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n", "Content-Length"),
    "a length too long": (b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 40 + b"\r\n\r\n", "Content-Length"),
}  # fmt: skip

PIECES = [
    *[b"HTTP/1.1 ", b"HTTP/1.0 ", b"200", b"503", b"103", b"101", b"302", b" OK", b"\r\n", b"\r\n\r\n", b"\n", b": "],
    *[
        b"Content-Length: ",
        b"Transfer-Encoding: chunked",
        b"Connection: close",
        b"Location: ",
        b"/x",
        b"2",
        b"ok",
        b"\0",
    ],
]


def padded_head(size: int) -> bytes:
    """A well-formed head of 200 of exactly `size` bytes."""
    frame = response(200, "X-Padding: ", body=b"")
    return response(200, "X-Padding: " + "x" * (size - len(frame)), body=b"")


@pytest.mark.parametrize(("answer", "words"), MALFORMED.values(), ids=MALFORMED.keys())
async def test_a_malformed_response_is_a_failure_that_describes_it(
    answer: bytes, words: str, peer: StartPeer, prober: HTTPProber
) -> None:
    engine = await peer(sending(answer))

    assert_failed(await prober.probe(engine.target()), words)
    assert not await engine.settled(), "the connection is closed"


@pytest.mark.proves("response-before-request")
@pytest.mark.parametrize(
    ("greeting", "words", "status"),
    [
        (b"SSH-2.0-OpenSSH_9.6\r\n", "SSH", 0),
        (b"220 mail.example ESMTP\r\n", "status line", 0),
        (response(408), "unexpected status 408", 408),
    ],
)
async def test_data_sent_before_the_request_is_judged_and_closes_the_connection(
    greeting: bytes, words: str, status: int, peer: StartPeer, prober: HTTPProber
) -> None:
    async def script(connection: Connection) -> None:
        await connection.send(greeting)
        await connection.silence()

    engine = await peer(script)

    for outcome in await probes(prober, engine.target(), 2):
        assert_failed(outcome, words, status)
    assert engine.connections == 2


async def test_a_head_of_64_kib_is_read_and_a_longer_one_is_a_failure(peer: StartPeer, prober: HTTPProber) -> None:
    fitting = await peer(answering(padded_head(HEAD_LIMIT - 1), padded_head(HEAD_LIMIT)))
    longer = await peer(answering(padded_head(HEAD_LIMIT + 1)))

    assert await probes(prober, fitting.target(), 2) == [HEALTHY] * 2
    assert_failed(await prober.probe(longer.target()), "response head larger than 64 KiB")


@pytest.mark.proves("head-megabytes")
@pytest.mark.parametrize(
    "opening",
    [b"", b"HTTP/1.1 200 OK\r\nX-Header: ", b"HTTP/1.1 200 ", b"HTTP/1.1 "],
    ids=["garbage", "header", "reason", "status"],
)
async def test_a_head_of_five_megabytes_is_a_failure_with_a_short_error_and_little_memory(
    opening: bytes, peer: StartPeer, prober: HTTPProber
) -> None:
    engine = await peer(answering(opening + b"x" * 5 * MIB))
    target = engine.target()
    await prober.probe(target)

    tracemalloc.start()
    outcome = await prober.probe(target)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert_failed(outcome, "64 KiB|malformed|not HTTP")
    assert isinstance(outcome, Failed)
    assert len(outcome.last_error) <= KIB
    assert most < MIB, "the peer's own sending is in it as well"


async def test_one_header_of_almost_ten_megabytes_is_a_failure(peer: StartPeer, prober: HTTPProber) -> None:
    engine = await peer(answering(response(200, "X-Large: " + "x" * int(9.9 * MIB))))

    assert_failed(await prober.probe(engine.target()), "response head larger than 64 KiB")


@pytest.mark.proves("head-64-kib")
@pytest.mark.parametrize("unit", [b"X-More: yes\r\n", b"x"])
async def test_a_head_without_end_is_cut_off_at_64_kib(unit: bytes, peer: StartPeer, prober: HTTPProber) -> None:
    sent = 0

    async def script(connection: Connection) -> None:
        nonlocal sent
        await connection.request()
        await connection.send(b"HTTP/1.1 200 OK\r\nX-First: ")
        while True:
            await connection.send(unit * 100)
            sent += len(unit) * 100
            await asyncio.sleep(0)

    engine = await peer(script)

    assert_failed(await prober.probe(engine.target()), "response head larger than 64 KiB")
    assert not await engine.settled()
    assert sent < 20 * MIB, "no more than the buffers of two sockets hold"


any_head = st.binary(max_size=200) | st.lists(st.sampled_from(PIECES), max_size=14).map(b"".join)


@given(head=any_head, cuts=st.lists(st.integers(1, 40), max_size=6))
@example(head=b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK, cuts=[30, 3])
@example(head=b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 503 No\r\n\r\n", cuts=[19])
@example(head=b"\r\n" + OK, cuts=[1, 1])
@settings(max_examples=150, deadline=None)
async def test_the_outcome_of_any_bytes_does_not_depend_on_how_they_are_split(head: bytes, cuts: list[int]) -> None:
    async with Peer(cut_differently_each_time(head, cuts)) as engine:
        prober = HTTPProber()
        outcomes = await probes(prober, engine.target(), 3)
        await prober.aclose()

    for outcome in outcomes:
        assert isinstance(outcome, (Healthy, Failed))
        assert isinstance(outcome, Healthy) or outcome.last_status == 0 or 100 <= outcome.last_status <= 999
    assert len({status_of(outcome) for outcome in outcomes}) == 1, outcomes


def cut_differently_each_time(head: bytes, cuts: list[int]) -> Script:
    """The whole on the first connection, in pieces on the second, byte by byte on the third; then the end."""

    async def script(connection: Connection) -> None:
        await connection.request()
        if connection.number == 1:
            await connection.send(head)
        else:
            await connection.drip(pieces(head, cuts if connection.number == 2 else [1]), pause=0)

    return script


def pieces(whole: bytes, cuts: list[int]) -> Iterator[bytes]:
    start = 0
    for size in cycle(cuts or [len(whole) or 1]):
        if start >= len(whole):
            return
        yield whole[start : start + size]
        start += size


def status_of(outcome: ProbeOutcome) -> int:
    return outcome.last_status if isinstance(outcome, Failed) else 200
