"""The final status of a well-formed response decides."""

from __future__ import annotations

import pytest
from tests.probing.conftest import StartPeer
from tests.probing.peers import OK, Connection, answering, response, sending
from tests.probing.probes import assert_failed, probes

from healthprobe.domain.outcome import HEALTHY, Failed
from healthprobe.probing.http import HTTPProber

EARLY_HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
PROCESSING = b"HTTP/1.1 102 Processing\r\n\r\n"

VALID_FORMS = {
    "plain": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "no reason": b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
    "an empty reason": b"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n",
    "a reason in Latin-1": b"HTTP/1.1 200 Gr\xfc\xdf dich\r\nContent-Length: 0\r\n\r\n",
    "a reason that contradicts": b"HTTP/1.1 200 Not Found\r\nContent-Length: 0\r\n\r\n",
    "no headers": b"HTTP/1.1 200 OK\r\n\r\n",
    "an empty and a repeated header": b"HTTP/1.1 200 OK\r\nX-A:\r\nX-B: a\r\nX-B: b\r\nContent-Length: 0\r\n\r\n",
    "a header in binary": b"HTTP/1.1 200 OK\r\nX-Name: \xff\xfe\r\nContent-Length: 0\r\n\r\n",
    "bare line feeds": b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    "a location": b"HTTP/1.1 200 OK\r\nLocation: http://elsewhere.example/\r\nContent-Length: 0\r\n\r\n",
    "an offer to upgrade": b"HTTP/1.1 200 OK\r\nUpgrade: h2c\r\nConnection: upgrade\r\nContent-Length: 0\r\n\r\n",
}


async def test_status_200_is_healthy_at_every_probe(peer: StartPeer, prober: HTTPProber) -> None:
    engine = await peer(answering(OK))

    assert await probes(prober, engine.target(), 5) == [HEALTHY] * 5
    assert len(engine.requests) == 5


@pytest.mark.parametrize("answer", VALID_FORMS.values(), ids=VALID_FORMS.keys())
async def test_status_200_is_healthy_in_every_valid_form(answer: bytes, peer: StartPeer, prober: HTTPProber) -> None:
    engine = await peer(sending(answer))

    assert await prober.probe(engine.target()) == HEALTHY


@pytest.mark.parametrize("status", [201, 202, 204, 206, 300, 304, 400, 401, 404, 418, 429, 500, 503, 599, 600, 999])
async def test_any_other_final_status_is_a_failure_that_names_it(
    status: int, peer: StartPeer, prober: HTTPProber
) -> None:
    engine = await peer(answering(response(status, body=None if status in {204, 304} else b"no")))

    assert await probes(prober, engine.target(), 2) == [Failed(status, f"unexpected status {status}")] * 2


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_without_a_location_is_an_unexpected_status(
    status: int, peer: StartPeer, prober: HTTPProber
) -> None:
    engine = await peer(answering(response(status)))

    assert await prober.probe(engine.target()) == Failed(status, f"unexpected status {status}")


@pytest.mark.parametrize("status", [304, 305, 306])
async def test_a_location_with_another_status_is_not_a_redirect(
    status: int, peer: StartPeer, prober: HTTPProber
) -> None:
    engine = await peer(answering(response(status, "Location: /other", body=None), OK))

    assert await prober.probe(engine.target()) == Failed(status, f"unexpected status {status}")
    assert len(engine.requests) == 1


@pytest.mark.parametrize("interim", [CONTINUE, PROCESSING, EARLY_HINTS, CONTINUE + PROCESSING + EARLY_HINTS])
async def test_interim_responses_are_skipped(interim: bytes, peer: StartPeer, prober: HTTPProber) -> None:
    engine = await peer(answering(interim + OK, interim + response(503), interim + OK))

    assert await probes(prober, engine.target(), 3) == [HEALTHY, Failed(503, "unexpected status 503"), HEALTHY]


async def test_interim_responses_can_arrive_one_by_one(peer: StartPeer, prober: HTTPProber) -> None:
    async def script(connection: Connection) -> None:
        while True:
            await connection.request()
            await connection.drip([CONTINUE, EARLY_HINTS[:20], EARLY_HINTS[20:], OK], pause=0.01)

    engine = await peer(script)

    assert await probes(prober, engine.target(), 2) == [HEALTHY] * 2


async def test_sixteen_interim_responses_pass_and_seventeen_fail(peer: StartPeer, prober: HTTPProber) -> None:
    sixteen = await peer(answering(EARLY_HINTS * 16 + OK))
    seventeen = await peer(answering(EARLY_HINTS * 17 + OK))

    assert await probes(prober, sixteen.target(), 2) == [HEALTHY] * 2
    assert_failed(await prober.probe(seventeen.target()), "16 interim responses")
    assert not await seventeen.settled()


async def test_endless_interim_responses_are_a_failure_at_once(peer: StartPeer, prober: HTTPProber) -> None:
    async def script(connection: Connection) -> None:
        await connection.request()
        while True:
            await connection.send(PROCESSING)

    engine = await peer(script)

    assert_failed(await prober.probe(engine.target()), "interim responses|64 KiB")


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n\x00\x00\x12\x04\x00\x00",
        CONTINUE + b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n" + OK,
    ],
)
async def test_switching_protocols_is_a_failure_and_its_connection_is_not_kept(
    answer: bytes, peer: StartPeer, prober: HTTPProber
) -> None:
    engine = await peer(answering(answer))

    assert await probes(prober, engine.target(), 2) == [Failed(101, "unexpected status 101")] * 2
    assert engine.connections == 2


@pytest.mark.parametrize(
    ("answer", "connections"),
    [
        (response(version="1.0"), 3),
        (response(200, "Connection: keep-alive", version="1.0"), 1),
        (response(200, "Connection: close"), 3),
        (response(200, "Connection: keep-alive"), 1),
    ],
)
async def test_an_http_1_0_connection_is_kept_if_the_engine_says_so(
    answer: bytes, connections: int, peer: StartPeer, prober: HTTPProber
) -> None:
    engine = await peer(answering(answer))

    assert await probes(prober, engine.target(), 3) == [HEALTHY] * 3
    assert engine.connections == connections


async def test_an_http_1_0_engine_that_ends_its_body_by_closing_is_healthy(peer: StartPeer, prober: HTTPProber) -> None:
    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(response(body=None, version="1.0") + b"ok")

    engine = await peer(script)

    assert await probes(prober, engine.target(), 3) == [HEALTHY] * 3
