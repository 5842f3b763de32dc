"""Answers that cross our request: on a fresh connection they are its answer, on a kept one an answer to nothing."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest
import trustme
from tests.probing.conftest import StartPeer
from tests.probing.peers import OK, Connection, answering, first_then, response
from tests.probing.probes import assert_failed, probes, target_at

from healthprobe.domain.outcome import HEALTHY, Failed
from healthprobe.probing.http import HTTPProber

TIMED_OUT = response(408, "Connection: close")
BUSY = response(503, "Connection: close")
PROBES = 200


@contextmanager
def greeter(greet: Callable[[socket.socket], None]) -> Iterator[str]:
    """An engine in a thread of its own that greets whoever connects and closes: its address."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:

        def serve() -> None:
            while True:
                try:
                    accepted, _ = listener.accept()
                except OSError:
                    return
                with accepted:
                    greet(accepted)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(2)


def over_tls(context: ssl.SSLContext, greet: Callable[[socket.socket], None]) -> Callable[[socket.socket], None]:
    """Greets as soon as hands are shaken, and ends by close_notify."""

    def shake_hands_and_greet(accepted: socket.socket) -> None:
        with context.wrap_socket(accepted, server_side=True, suppress_ragged_eofs=True) as wrapped:
            greet(wrapped)
            with suppress(OSError):
                wrapped.unwrap()

    return shake_hands_and_greet


def in_one_piece(answer: bytes) -> Callable[[socket.socket], None]:
    return lambda accepted: accepted.sendall(answer)


def in_pieces(answer: bytes) -> Callable[[socket.socket], None]:
    """Sends the answer in three pieces, some milliseconds apart, and only then reads."""

    def greet(accepted: socket.socket) -> None:
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in (answer[:9], answer[9:30], answer[30:]):
            accepted.sendall(piece)
            time.sleep(0.001)
        accepted.recv(65536)

    return greet


@pytest.mark.proves("early-answer")
@pytest.mark.parametrize("greet", [in_one_piece, in_pieces])
async def test_an_answer_that_comes_before_a_first_request_belongs_to_it(
    greet: Callable[[bytes], Callable[[socket.socket], None]], prober: HTTPProber
) -> None:
    with greeter(greet(OK)) as healthy, greeter(greet(BUSY)) as full:
        assert set(await probes(prober, target_at(healthy), PROBES)) == {HEALTHY}
        assert set(await probes(prober, target_at(full), PROBES)) == {Failed(503, "unexpected status 503")}


async def test_an_early_answer_over_tls_belongs_to_the_request() -> None:
    authority = trustme.CA()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(server)
    authority.configure_trust(client)

    async with HTTPProber(tls=client) as prober:
        for answer, outcome in ((OK, HEALTHY), (BUSY, Failed(503, "unexpected status 503"))):
            with greeter(over_tls(server, in_one_piece(answer))) as url:
                assert set(await probes(prober, target_at(url.replace("http:", "https:")), 40)) == {outcome}


async def test_an_early_answer_that_is_not_whole_is_a_failure_that_says_where_it_ended(prober: HTTPProber) -> None:
    with greeter(in_one_piece(OK[:20])) as cut_off, greeter(in_one_piece(b"220 mail.example ESMTP\r\n")) as other:
        for outcome in await probes(prober, target_at(cut_off), 50):
            assert_failed(outcome, "connection (closed|reset) in the middle of the response head")
        for outcome in await probes(prober, target_at(other), 50):
            assert_failed(outcome, "malformed status line")


async def test_a_connection_with_an_early_answer_is_not_kept(peer: StartPeer, prober: HTTPProber) -> None:
    """It answers once more after the request, which would be taken for the answer to the next one."""

    async def script(connection: Connection) -> None:
        await connection.send(OK)
        await connection.request()
        await connection.send(BUSY)
        await connection.silence()

    engine = await peer(script)

    target = engine.target()

    for _ in range(10):
        assert await prober.probe(target) == HEALTHY
        await asyncio.sleep(0.01)
    assert engine.connections == 10


@pytest.mark.proves("crossing-408")
async def test_a_408_that_ends_a_kept_connection_is_asked_again_on_a_fresh_one(
    peer: StartPeer, prober: HTTPProber
) -> None:
    engine = await peer(answering(OK, TIMED_OUT))

    assert await probes(prober, engine.target(), 20) == [HEALTHY] * 20
    assert engine.connections == 20


async def test_a_408_to_a_first_request_is_a_failure_and_so_is_one_that_keeps_the_connection(
    peer: StartPeer, prober: HTTPProber
) -> None:
    always = await peer(answering(TIMED_OUT))
    later = await peer(first_then(answering(OK, TIMED_OUT), answering(TIMED_OUT)))
    keeping = await peer(answering(OK, response(408)))

    assert_failed(await prober.probe(always.target()), "unexpected status 408", 408)
    for engine in (later, keeping):
        healthy, failed = await probes(prober, engine.target(), 2)
        assert healthy == HEALTHY
        assert_failed(failed, "unexpected status 408", 408)


@pytest.mark.proves("crossing-any")
@pytest.mark.parametrize("parting", [BUSY, b"HTTP/1.1 400 Bad Request\r\n\r\n", b"Bye.\r\n", TIMED_OUT])
async def test_anything_sent_before_a_kept_connection_had_our_request_is_no_answer_to_it(
    parting: bytes, prober: HTTPProber
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        target = target_at(f"http://127.0.0.1:{listener.getsockname()[1]}")
        parted, leaving = threading.Event(), threading.Event()

        def serve() -> None:
            accepted, _ = listener.accept()
            with accepted:
                accepted.recv(65536)
                accepted.sendall(OK)
                leaving.wait(5)
                accepted.sendall(parting)
            parted.set()
            accepted, _ = listener.accept()
            with accepted:
                accepted.recv(65536)
                accepted.sendall(OK)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        assert await prober.probe(target) == HEALTHY
        leaving.set()
        parted.wait(5)  # blocks the loop: its socket has the parting words, and the prober does not know them yet
        assert await prober.probe(target) == HEALTHY
        thread.join(2)


async def test_a_failure_that_answers_our_request_on_a_kept_connection_counts(
    peer: StartPeer, prober: HTTPProber
) -> None:
    engine = await peer(answering(OK, BUSY))

    for _ in range(10):
        healthy, failed = await probes(prober, engine.target(), 2)
        assert healthy == HEALTHY
        assert_failed(failed, "unexpected status 503", 503)
