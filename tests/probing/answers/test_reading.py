"""Responses are read as curl and Go read them where the two agree; what stays refused is in docs/verdict.md."""

from __future__ import annotations

import asyncio
import shutil
import time
from typing import Any

import pytest
from tests.probing.conftest import StartPeer
from tests.probing.peers import Connection, Peer, answering, first_then, once_then, response, sending
from tests.probing.probes import IMPATIENT, assert_failed, probes, timed

from healthprobe.domain.endpoint import parse_endpoint
from healthprobe.domain.outcome import HEALTHY, Failed, FailureKind
from healthprobe.domain.probe.probe_parsing import settings_from
from healthprobe.domain.target import ProbeTarget
from healthprobe.probing.answers.leniency import ChunkReader
from healthprobe.probing.answers.response import BodyReader
from healthprobe.probing.http import HTTPProber

HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"

READ_BY_BOTH = {
    "a folded header": HEAD + b"X-Long: a\r\n  b\r\n\tc\r\nContent-Length: 5\r\n\r\nready",
    "a header folded at its colon": HEAD + b"X-Long:\r\n a\r\nContent-Length: 5\r\n\r\nready",
    "the same length twice": HEAD + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nready",
    "a space in a header's name": HEAD + b"X Name: 1\r\nContent-Length: 5\r\n\r\nready",
    "two spaces before the status": b"HTTP/1.1  200 OK\r\nContent-Length: 5\r\n\r\nready",
    "no reason": b"HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nready",
    "a control character in the reason": b"HTTP/1.1 200 O\x01K\r\nContent-Length: 5\r\n\r\nready",
    "chunked with a length": HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n5\r\nready\r\n0\r\n\r\n",
    "blanks after a chunk's size": CHUNKED + b"5  \r\nready\r\n0\t\r\n\r\n",
    "a chunk extension of any kind": CHUNKED + b"5;\x01= ;\r\nready\r\n0\r\n\r\n",
    "a folded trailer": CHUNKED + b"5\r\nready\r\n0\r\nX: a\r\n b\r\n\r\n",
    "more than announced": HEAD + b"Content-Length: 5\r\n\r\nready and more",
    "a second response": HEAD + b"Connection: close\r\nContent-Length: 5\r\n\r\nready" + response(503),
    "a body that ends with its connection": HEAD + b"\r\nready",
}
READ_BY_RFC = {
    "a chunk extension after blanks": CHUNKED + b'5 ; x="y"\r\nready\r\n0\r\n\r\n',
    "a chunk extension with blanks": CHUNKED + b"5; x = y\r\nready\r\n0\r\n\r\n",
    "a list of the same length": HEAD + b"Content-Length: 5, 5\r\n\r\nready",
    "a length that is folded": HEAD + b"Content-Length:\r\n 5\r\n\r\nready",
    "a space before a colon": HEAD + b"Content-Length : 5\r\n\r\nready",
}
REFUSED_BY_BOTH = {
    "a blank line first": b"\r\n" + response(body=b"ready"),
    "the first header folded": HEAD + b" X: a\r\nContent-Length: 5\r\n\r\nready",
    "a folded line with NUL": HEAD + b"X: a\r\n b\x00\r\nContent-Length: 5\r\n\r\nready",
    "a header without a colon": HEAD + b"X\r\nContent-Length: 5\r\n\r\nready",
    "no length after its name": HEAD + b"Content-Length:\r\n\r\nready",
    "a negative length": HEAD + b"Content-Length: -5\r\n\r\nready",
    "a length in words": HEAD + b"Content-Length: five\r\n\r\nready",
    "a body cut short": HEAD + b"Content-Length: 9\r\n\r\nready",
    "chunks without an end": CHUNKED + b"5\r\nready\r\n",
    "a chunk that is longer": CHUNKED + b"5\r\nready?\r\n0\r\n\r\n",
    "a blank before a chunk's size": CHUNKED + b" 5\r\nready\r\n0\r\n\r\n",
    "a trailer without a colon": CHUNKED + b"5\r\nready\r\n0\r\nX\r\n\r\n",
}
REFUSED_BY_ONE = {
    "HTTP/1.2": b"HTTP/1.2 200 OK\r\nContent-Length: 5\r\n\r\nready",
    "HTTP/2 in words": b"HTTP/2 200 OK\r\nContent-Length: 5\r\n\r\nready",
    "lower case": b"http/1.1 200 OK\r\nContent-Length: 5\r\n\r\nready",
    "a tab after the status": b"HTTP/1.1 200\tOK\r\nContent-Length: 5\r\n\r\nready",
    "different lengths": HEAD + b"Content-Length: 6\r\nContent-Length: 5\r\n\r\nready",
    "a list of lengths": HEAD + b"Content-Length: 5, 6\r\n\r\nready",
    "a length in hex": HEAD + b"Content-Length: 0x5\r\n\r\nready",
    "a length too long": HEAD + b"Content-Length: " + b"9" * 40 + b"\r\n\r\nready",
    "a control character in a header": HEAD + b"X: a\x01b\r\nContent-Length: 5\r\n\r\nready",
    "a lone CR in a header": HEAD + b"X: a\rb\r\nContent-Length: 5\r\n\r\nready",
    "a header without a name": HEAD + b": a\r\nContent-Length: 5\r\n\r\nready",
    "a name that is not a word": HEAD + b"X(a): a\r\nContent-Length: 5\r\n\r\nready",
    "lines without CR between chunks": CHUNKED + b"5\nready\n0\n\n",
    "a word after a chunk's size": CHUNKED + b"5 five\r\nready\r\n0\r\n\r\n",
}


def ready(peer: Peer, timeout: float = 5.0, **settings: Any) -> ProbeTarget:
    return ProbeTarget(
        "game-7", parse_endpoint(peer.url()), timeout, settings_from({"expect": {"body_contains": "ready"}, **settings})
    )


def at_once_and_in_pieces(answer: bytes) -> Any:
    """Sends the answer and closes; on every second connection byte by byte."""

    async def script(connection: Connection) -> None:
        await connection.request()
        if connection.number % 2:
            await connection.send(answer)
        else:
            await connection.drip([bytes([byte]) for byte in answer], pause=0)

    return script


@pytest.mark.proves("response-as-curl-and-go")
@pytest.mark.parametrize("answer", [*READ_BY_BOTH.values(), *READ_BY_RFC.values()], ids=[*READ_BY_BOTH, *READ_BY_RFC])
async def test_what_curl_and_go_read_is_read(answer: bytes, peer: StartPeer, prober: HTTPProber) -> None:
    engine = await peer(at_once_and_in_pieces(answer))

    plain, with_body = engine.target(), ready(engine)
    assert await probes(prober, with_body, 4) == [HEALTHY] * 4
    assert await probes(prober, plain, 4) == [HEALTHY] * 4


@pytest.mark.proves("response-refused")
@pytest.mark.parametrize("answer", REFUSED_BY_BOTH.values(), ids=REFUSED_BY_BOTH.keys())
async def test_what_curl_and_go_refuse_is_refused(answer: bytes, peer: StartPeer, prober: HTTPProber) -> None:
    engine = await peer(at_once_and_in_pieces(answer))

    for outcome in await probes(prober, ready(engine), 4):
        assert isinstance(outcome, Failed)
        assert outcome.kind in {FailureKind.MALFORMED, FailureKind.CLOSED}, outcome


@pytest.mark.proves("response-one-accepts")
@pytest.mark.parametrize("answer", REFUSED_BY_ONE.values(), ids=REFUSED_BY_ONE.keys())
async def test_what_only_one_of_curl_and_go_reads_is_refused(
    answer: bytes, peer: StartPeer, prober: HTTPProber
) -> None:
    engine = await peer(at_once_and_in_pieces(answer))

    for outcome in await probes(prober, ready(engine), 4):
        assert isinstance(outcome, Failed)
        assert outcome.kind is FailureKind.MALFORMED, outcome


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("answer", [*READ_BY_BOTH.values(), *REFUSED_BY_BOTH.values()])
async def test_curl_says_the_same(answer: bytes, peer: StartPeer) -> None:
    engine = await peer(at_once_and_in_pieces(answer))
    curl = await asyncio.create_subprocess_exec(
        *("curl", "-sf", "-m", "5", "--noproxy", "*", engine.url()), stdout=asyncio.subprocess.PIPE
    )
    body, _ = await curl.communicate()
    assert (curl.returncode == 0 and b"ready" in body) is (answer in READ_BY_BOTH.values())


async def test_a_redirect_with_a_folded_header_is_followed(peer: StartPeer, prober: HTTPProber) -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a>;\r\n rel=preload\r\n\r\n"
    found = b"HTTP/1.1 302 Found\r\nX: a\r\n b\r\nLocation:\r\n /live\r\nContent-Length: 0\r\n\r\n"

    async def script(connection: Connection) -> None:
        request = await connection.request()
        await connection.send(response() if b"/live " in request else hints + hints + found)

    engine = await peer(script)

    assert await prober.probe(engine.target()) == HEALTHY


async def test_a_connection_with_folded_headers_is_kept(peer: StartPeer, prober: HTTPProber) -> None:
    engine = await peer(answering(READ_BY_BOTH["a folded header"]))

    assert await probes(prober, engine.target(), 5) == [HEALTHY] * 5
    assert engine.connections == 1


@pytest.mark.parametrize("beginning", [b"HTTP/1.1 200 OK\r\nX: a\r\n b", b"HTTP/1.1  2", b"HTTP/1.1 200 OK\r\nX Y"])
async def test_a_head_that_may_become_good_is_waited_for(beginning: bytes, peer: StartPeer, prober: HTTPProber) -> None:
    engine = await peer(sending(beginning))

    assert_failed(await prober.probe(engine.target(IMPATIENT)), "waiting for the response head")


@pytest.mark.proves("malformed-body-at-once")
@pytest.mark.parametrize(
    "body", [b"two\r\nok\r\n", b"-1\r\nok\r\n", b"1\r\nok\r\n", b"2\nok\n", b"0\r\nno colon\r\n\r\n", b"0" * 5000]
)
@pytest.mark.parametrize("apart", [False, True], ids=["one packet", "apart"])
async def test_a_malformed_body_fails_at_once_and_keeps_the_status(
    body: bytes, peer: StartPeer, prober: HTTPProber, *, apart: bool
) -> None:
    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.drip([CHUNKED, body] if apart else [CHUNKED + body], pause=0.02)
        await connection.silence()

    outcome, seconds = await timed(prober, ready(await peer(script)))

    assert_failed(outcome, "^malformed body: .* after status 200$", 200)
    assert seconds < 2.0


@pytest.mark.proves("failure-after-head")
@pytest.mark.parametrize("unended", [HEAD + b"Content-Length: 9\r\n\r\nread", CHUNKED + b"5\r\nre", HEAD + b"\r\nr"])
async def test_a_body_that_hangs_is_a_timeout_with_the_status(
    unended: bytes, peer: StartPeer, prober: HTTPProber
) -> None:
    engine = await peer(sending(unended))
    kept = await peer(first_then(once_then(unended), sending(b"")))

    outcome = await prober.probe(ready(engine, IMPATIENT))
    assert outcome == Failed(200, "timed out after 300ms reading the body after status 200")
    assert isinstance(outcome, Failed)
    assert outcome.kind is FailureKind.TIMEOUT
    target = ready(kept, IMPATIENT, expect={"body_contains": "ok"})
    assert await prober.probe(target) == HEALTHY
    assert await prober.probe(target) == outcome


@pytest.mark.parametrize(("end", "word"), [("close", "closed"), ("reset", "reset")])
async def test_a_body_that_is_cut_short_is_a_failure_with_the_status_even_where_the_text_is_there(
    end: str, word: str, peer: StartPeer, prober: HTTPProber
) -> None:
    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(HEAD + b"Content-Length: 9\r\n\r\nready")
        await asyncio.sleep(0.02)
        if end == "reset":
            connection.reset()

    outcome = await prober.probe(ready(await peer(script)))

    assert_failed(outcome, f"^connection {word} in the middle of the body after status 200$", 200)


def test_many_small_lines_and_chunks_take_no_quadratic_time() -> None:
    began = time.monotonic()
    chunks = ChunkReader(10**6)
    chunks.feed(b"1\r\nx\r\n" * 40_000)
    reader = BodyReader()
    for byte in HEAD + b"X: a\r\n b\r\n" + b"a:\r\n" * 15_000:
        reader.feed(bytes([byte]))
    assert len(chunks.body) == 40_000
    assert not reader.status
    assert time.monotonic() - began < 5
