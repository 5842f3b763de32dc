"""The response cache: what one engine answered never decides for another."""

from __future__ import annotations

import pytest
from tests.probing.conftest import StartPeer
from tests.probing.peers import OK, Connection, Script, answering, response
from tests.probing.probes import assert_failed, probes

from healthprobe.domain.outcome import HEALTHY
from healthprobe.probing.http import HTTPProber


def in_pieces(*pieces: bytes) -> Script:
    """Answers every request with these pieces, one segment each, and closes the connection after the first."""

    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.drip(pieces, pause=0.01)

    return script


async def known_by_heart(answer: Script, peer: StartPeer, prober: HTTPProber) -> None:
    """An engine sends this response for a while before the other one is probed."""
    assert await probes(prober, (await peer(answer)).target(), 3) == [HEALTHY] * 3


async def test_engines_that_send_the_same_response_are_all_healthy(peer: StartPeer, prober: HTTPProber) -> None:
    for _ in range(3):
        engine = await peer(answering(OK))
        assert await probes(prober, engine.target(), 3) == [HEALTHY] * 3
        assert engine.connections == 1


@pytest.mark.parametrize(
    ("pieces", "words", "status"),
    [
        ((OK[:-10],), "closed in the middle of the response head", 0),
        ((OK[1:],), "status line", 0),
        ((b"x" + OK,), "status line", 0),
        ((OK.replace(b"200", b"503"),), "unexpected status 503", 503),
        ((OK.replace(b"HTTP/1.1", b"HTTP/1.2"),), "version", 0),
        ((b"HTTP/1.1 103 Early Hints\r\nX-Hidden: ", OK), "head|status line", 0),
        ((b"HTTP/1.1 503 Busy\r\nX-Hidden: ", OK), "unexpected status 503", 503),
        ((b"HTTP/1.1 503 Busy\r\nContent-Length: 99\r\n\r\n", OK), "unexpected status 503", 503),
        ((b"garbage", OK), "status line", 0),
    ],
)
async def test_a_response_that_differs_a_little_from_the_cached_one_is_parsed(
    pieces: tuple[bytes, ...], words: str, status: int, peer: StartPeer, prober: HTTPProber
) -> None:
    await known_by_heart(answering(OK), peer, prober)
    engine = await peer(in_pieces(*pieces))

    for outcome in await probes(prober, engine.target(), 2):
        assert_failed(outcome, words, status)


@pytest.mark.parametrize("cut", [-2, -6, 20])
async def test_the_last_part_of_a_cached_response_is_not_an_answer(
    cut: int, peer: StartPeer, prober: HTTPProber
) -> None:
    await known_by_heart(in_pieces(OK[:cut], OK[cut:]), peer, prober)
    engine = await peer(in_pieces(OK[cut:]))

    assert_failed(await prober.probe(engine.target()), "status line|head")


@pytest.mark.parametrize("answer", [OK + OK, OK + b"x", response(200, "Connection: close"), response(body=None)])
async def test_a_cached_response_that_closes_the_connection_closes_every_connection(
    answer: bytes, peer: StartPeer, prober: HTTPProber
) -> None:
    await known_by_heart(answering(OK), peer, prober)

    for _ in range(2):
        engine = await peer(answering(answer))
        assert await probes(prober, engine.target(), 3) == [HEALTHY] * 3
        assert engine.connections == 3
