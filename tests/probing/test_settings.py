"""The settings of a game define its request and the expected status, body and JSON value."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.probing.conftest import StartPeer
from tests.probing.peers import OK, Connection, Peer, response

from healthprobe.domain.endpoint import parse_endpoint
from healthprobe.domain.outcome import HEALTHY, Failed, FailureKind, ProbeOutcome
from healthprobe.domain.probe.probe_parsing import settings_from
from healthprobe.domain.target import ProbeTarget
from healthprobe.probing.answers.response import BODY_LIMIT
from healthprobe.probing.http import HTTPProber


def target(peer: Peer, settings: dict[str, Any], *, prefix: str = "", timeout: float = 5.0) -> ProbeTarget:
    return ProbeTarget("game-7", parse_endpoint(peer.url(prefix)), timeout, settings_from(settings))


async def answered(peer: StartPeer, prober: HTTPProber, settings: dict[str, Any], *answers: bytes) -> ProbeOutcome:
    """Returns the outcome for an engine that sends these pieces and keeps the connection open."""

    async def script(connection: Connection) -> None:
        while True:
            await connection.request()
            for piece in answers:
                await connection.send(piece)
                await asyncio.sleep(0.01)

    return await prober.probe(target(await peer(script), settings))


async def test_the_settings_define_the_request(peer: StartPeer, prober: HTTPProber) -> None:
    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(response(200, "Connection: close", body=None))

    engine = await peer(script)
    settings = {
        "method": "HEAD",
        "path": "/ready?deep=1",
        "host": "chess.example",
        "headers": {"X-Probe": "yes", "User-Agent": "ours"},
    }
    assert await prober.probe(target(engine, settings, prefix="/engine")) == HEALTHY
    lines = engine.requests[0].decode().split("\r\n")
    assert lines[0] == "HEAD /engine/ready?deep=1 HTTP/1.1"
    assert "Host: chess.example" in lines
    assert "X-Probe: yes" in lines
    assert [line for line in lines if line.lower().startswith("user-agent")] == ["User-Agent: ours"]


async def test_an_answer_to_head_has_no_body(peer: StartPeer, prober: HTTPProber) -> None:
    async def script(connection: Connection) -> None:
        while True:
            await connection.request()
            await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")

    engine = await peer(script)
    head = target(engine, {"method": "HEAD"})
    for _ in range(3):
        assert await prober.probe(head) == HEALTHY


@pytest.mark.parametrize(
    ("expected", "status", "outcome"),
    [
        (204, 204, HEALTHY),
        ("200-299", 226, HEALTHY),
        ([200, "300-399"], 302, HEALTHY),
        (401, 401, HEALTHY),
        (204, 200, Failed(200, "unexpected status 200")),
        ("200-299", 300, Failed(300, "unexpected status 300")),
    ],
)
async def test_only_expected_statuses_are_healthy(
    peer: StartPeer, prober: HTTPProber, expected: Any, status: int, outcome: ProbeOutcome
) -> None:
    answer = response(status, "Location: http://elsewhere/", body=None if status == 204 else b"ok")
    assert await answered(peer, prober, {"expect": {"status": expected}}, answer) == outcome


async def test_an_unexpected_redirect_is_followed_with_the_same_settings(peer: StartPeer, prober: HTTPProber) -> None:
    async def script(connection: Connection) -> None:
        request = await connection.request()
        is_there = request.startswith(b"GET /there ")
        await connection.send(response(204, body=None) if is_there else response(307, "Location: /there"))

    engine = await peer(script)
    settings = {"headers": {"X-Probe": "yes"}, "expect": {"status": 204}}
    assert await prober.probe(target(engine, settings)) == HEALTHY
    assert all(b"X-Probe: yes" in request for request in engine.requests)


@pytest.mark.parametrize("pieces", [1, 3, 40])
async def test_a_text_is_found_in_a_body_that_arrives_in_pieces(
    peer: StartPeer, prober: HTTPProber, pieces: int
) -> None:
    answer = response(200, body=b"the engine is ready to play")
    size = -(-len(answer) // pieces)
    chunks = [answer[start : start + size] for start in range(0, len(answer), size)]
    assert await answered(peer, prober, {"expect": {"body_contains": "is ready"}}, *chunks) == HEALTHY


async def test_a_text_is_found_across_chunks(peer: StartPeer, prober: HTTPProber) -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nrea\r\n2\r\ndy\r\n0\r\n\r\n"
    assert await answered(peer, prober, {"expect": {"body_contains": "ready"}}, chunked) == HEALTHY


async def test_a_body_without_the_text_is_a_failure_with_its_status(peer: StartPeer, prober: HTTPProber) -> None:
    outcome = await answered(peer, prober, {"expect": {"body_contains": "ready"}}, response(200, body=b"starting"))
    assert outcome == Failed(200, 'body does not contain "ready"')
    assert isinstance(outcome, Failed)
    assert outcome.kind is FailureKind.BODY


@pytest.mark.proves("body-64-kib")
@pytest.mark.parametrize(("before", "found"), [(BODY_LIMIT - 5, True), (BODY_LIMIT, False)])
async def test_a_text_is_searched_in_the_first_64_kib(
    peer: StartPeer,
    prober: HTTPProber,
    before: int,
    found: bool,  # noqa: FBT001
) -> None:
    answer = response(200, body=b"x" * before + b"ready" + b"x" * 300_000)
    outcome = await answered(peer, prober, {"expect": {"body_contains": "ready"}}, answer)
    assert (outcome == HEALTHY) is found


async def test_a_body_is_checked_when_its_connection_ends(peer: StartPeer, prober: HTTPProber) -> None:
    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(b"HTTP/1.0 200 OK\r\n\r\nnearly ")
        await connection.send(b"ready")
        connection.close()

    assert await prober.probe(target(await peer(script), {"expect": {"body_contains": "nearly ready"}})) == HEALTHY


async def test_a_body_that_never_arrives_is_a_timeout(peer: StartPeer, prober: HTTPProber) -> None:
    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nready?")
        await connection.silence()

    outcome = await prober.probe(target(await peer(script), {"expect": {"body_contains": "yes"}}, timeout=0.3))
    assert isinstance(outcome, Failed)
    assert outcome.kind is FailureKind.TIMEOUT


@pytest.mark.parametrize(
    ("body", "path", "equals", "outcome"),
    [
        (b'{"state": "up"}', "state", "up", HEALTHY),
        (b'{"checks": [{"ok": true}]}', "checks[0].ok", True, HEALTHY),
        (b'{"players": 3.0}', "players", 3, HEALTHY),
        (b'{"state": "down"}', "state", "up", Failed(200, 'state is "down", not "up"')),
        (b'{"ok": 1}', "ok", True, Failed(200, "ok is 1, not true")),
        (b"{}", "state", "up", Failed(200, "state is not in the body")),
        (b"<html>", "state", "up", Failed(200, "body is not JSON")),
        (b"[" * 60_000, "state", "up", Failed(200, "body is not JSON")),
        (b"\xff\xfe", "state", "up", Failed(200, "body is not JSON")),
    ],
)
async def test_a_value_in_a_json_body_must_be_the_expected_one(
    peer: StartPeer, prober: HTTPProber, *, body: bytes, path: str, equals: Any, outcome: ProbeOutcome
) -> None:
    settings = {"expect": {"json_path": path, "equals": equals}}
    assert await answered(peer, prober, settings, response(200, body=body)) == outcome


async def test_the_body_is_checked_at_every_probe_of_a_kept_connection(peer: StartPeer, prober: HTTPProber) -> None:
    bodies = [b"ready", b"ready", b"broken", b"ready"]

    async def script(connection: Connection) -> None:
        while True:
            await connection.request()
            await connection.send(response(200, body=bodies[(len(engine.requests) - 1) % 4]))

    engine = await peer(script)
    asked = target(engine, {"expect": {"body_contains": "ready"}})
    outcomes = [await prober.probe(asked) for _ in range(4)]
    assert [outcome == HEALTHY for outcome in outcomes] == [True, True, False, True]
    assert engine.connections == 2, "the first was kept until it failed"


async def test_targets_with_different_expectations_share_no_cached_response(
    peer: StartPeer, prober: HTTPProber
) -> None:
    async def script(connection: Connection) -> None:
        while True:
            await connection.request()
            await connection.send(OK)

    engine = await peer(script)
    plain, exacting = target(engine, {}), target(engine, {"expect": {"body_contains": "not there"}})
    for _ in range(3):
        assert await prober.probe(plain) == HEALTHY
        assert isinstance(await prober.probe(exacting), Failed)


async def test_a_chunk_that_equals_the_cached_response_is_not_an_answer(peer: StartPeer, prober: HTTPProber) -> None:
    """A healthy engine sends the cached bytes again in the middle of a body."""
    good = response(200, body=b"ready")

    async def script(connection: Connection) -> None:
        await connection.request()
        if connection.number > 1:
            await connection.silence()
        await connection.send(good)
        await connection.request()
        await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        await asyncio.sleep(0.02)
        await connection.send(good)
        await connection.silence()

    asked = target(await peer(script), {"expect": {"body_contains": "ready"}}, timeout=0.3)
    assert await prober.probe(asked) == HEALTHY
    assert isinstance(await prober.probe(asked), Failed)
