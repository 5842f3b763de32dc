"""Network faults are failures with status 0 and a plain error, in time."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import pytest
from tests.probing.conftest import StartPeer
from tests.probing.peers import OK, Connection, Script, response, sending
from tests.probing.probes import IMPATIENT, assert_failed, assert_on_time, probes, target_at, timed

from healthprobe.domain.outcome import HEALTHY
from healthprobe.probing.http import HTTPProber

HEAD = response(200, "X-Padding: " + "x" * 100)


def at(moment: str, end: str) -> Script:
    """A script that ends its connection at a moment of the exchange, by closing or by a reset."""

    async def script(connection: Connection) -> None:
        if moment != "before the request":
            await connection.request()
        if moment == "in the head":
            await connection.drip([HEAD[:40]], pause=0.02)
        if moment == "after the head":
            await connection.drip([OK], pause=0.02)
        if end == "reset":
            connection.reset()

    return script


@pytest.fixture
def refusing() -> Iterator[str]:
    """The endpoint of a reserved port that refuses every connection."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"


@pytest.fixture
def never_accepting() -> Iterator[str]:
    """The endpoint of a process that hangs: only the kernel accepts the connection."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


async def test_a_refused_connection_fails_at_once(refusing: str, prober: HTTPProber) -> None:
    outcome, seconds = await timed(prober, target_at(refusing))

    assert_failed(outcome, "^connection refused$")
    assert seconds < 1


@pytest.mark.parametrize("moment", ["before the request", "before the head", "in the head"])
async def test_a_reset_before_the_end_of_the_head_is_a_failure_without_retry(
    moment: str, peer: StartPeer, prober: HTTPProber
) -> None:
    engine = await peer(at(moment, "reset"))

    assert_failed(await prober.probe(engine.target()), "^connection reset")
    assert engine.connections == 1


@pytest.mark.parametrize(
    ("moment", "words"),
    [
        ("before the request", "^connection (closed|reset) before the response head$"),
        ("before the head", "^connection closed before the response head$"),
        ("in the head", "^connection closed in the middle of the response head$"),
    ],
)
async def test_a_close_before_the_end_of_the_head_is_a_failure_without_retry(
    moment: str, words: str, peer: StartPeer, prober: HTTPProber
) -> None:
    engine = await peer(at(moment, "close"))

    assert_failed(await prober.probe(engine.target()), words)
    assert engine.connections == 1


@pytest.mark.parametrize("end", ["close", "reset"])
async def test_nothing_after_the_head_changes_the_outcome(end: str, peer: StartPeer, prober: HTTPProber) -> None:
    engine = await peer(at("after the head", end))
    target = engine.target()

    for asked in range(1, 4):
        assert await prober.probe(target) == HEALTHY
        assert not await engine.settled()
        assert engine.connections == asked


async def test_no_probe_outlives_its_timeout(
    without_syn_ack: str, never_accepting: str, peer: StartPeer, prober: HTTPProber
) -> None:
    silent = await peer(sending(b""))
    half_a_head = await peer(sending(HEAD[:30]))
    hints = await peer(sending(b"HTTP/1.1 103 Early Hints\r\n\r\n"))
    waiting_for = {
        without_syn_ack: "timed out after 300ms connecting",
        never_accepting: "timed out after 300ms waiting for the response head",
        silent.url(): "timed out after 300ms waiting for the response head",
        half_a_head.url(): "timed out after 300ms waiting for the response head",
        hints.url(): "timed out after 300ms waiting for the response head",
    }

    measured = await asyncio.gather(*(timed(prober, target_at(url, IMPATIENT)) for url in waiting_for))

    for (outcome, seconds), words in zip(measured, waiting_for.values(), strict=True):
        assert_failed(outcome, words)
        assert_on_time(seconds, IMPATIENT)
    assert not await silent.settled()


@pytest.mark.proves("head-slow")
async def test_a_head_that_drips_in_fails_at_the_timeout(peer: StartPeer, prober: HTTPProber) -> None:
    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.drip((bytes([byte]) for byte in HEAD), pause=0.05)

    engine = await peer(script)
    measured = await asyncio.gather(*(timed(prober, engine.target(timeout)) for timeout in (0.2, 0.3, 0.5)))

    for (outcome, seconds), timeout in zip(measured, (0.2, 0.3, 0.5), strict=True):
        assert_failed(outcome, f"timed out after {timeout * 1000:.0f}ms waiting for the response head")
        assert_on_time(seconds, timeout)
    assert not await engine.settled()


async def test_an_answer_just_before_the_timeout_is_healthy(peer: StartPeer, prober: HTTPProber) -> None:
    async def script(connection: Connection) -> None:
        while True:
            await connection.request()
            await asyncio.sleep(0.2)
            await connection.send(OK)

    engine = await peer(script)

    assert await prober.probe(engine.target(timeout=0.6)) == HEALTHY


async def test_an_engine_that_is_back_is_healthy_at_the_next_probe(peer: StartPeer, prober: HTTPProber) -> None:
    with socket.socket() as placeholder:
        placeholder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        placeholder.bind(("127.0.0.1", 0))
        port = placeholder.getsockname()[1]
        target = target_at(f"http://127.0.0.1:{port}")
        assert_failed(await prober.probe(target), "refused")
    await peer(sending(OK), port=port)

    assert await prober.probe(target) == HEALTHY


@pytest.mark.parametrize("host", ["::1", "127.83.7.1"])
async def test_an_engine_is_reached_at_any_of_its_addresses(host: str, peer: StartPeer, prober: HTTPProber) -> None:
    if host == "::1" and not has_ipv6():
        pytest.skip("this machine has no IPv6 on loopback")
    engine = await peer(sending(OK), host=host)

    assert await probes(prober, engine.target(), 1) == [HEALTHY]


def has_ipv6() -> bool:
    with socket.socket(socket.AF_INET6) as attempt:
        try:
            attempt.bind(("::1", 0))
        except OSError:
            return False
    return True
