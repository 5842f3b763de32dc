"""Second chances: a problem of an old kept connection is not a failure of the engine.

A probe on a connection that the engine closed is retried at once, on a silent one after half the timeout.
"""

from __future__ import annotations

import asyncio

import pytest
from tests.probing.conftest import StartPeer
from tests.probing.peers import OK, Connection, answering, first_then, once_then, response, sending
from tests.probing.probes import IMPATIENT, assert_failed, assert_on_time, probes, timed

from healthprobe.domain.outcome import HEALTHY
from healthprobe.probing.http import HTTPProber

BUSY = response(503)
ON_ITS_WAY = 0.03

LONG = 1.5
"""A timeout, in seconds, of which a busy machine takes no tenth away."""


@pytest.mark.parametrize("end", ["close", "reset"])
async def test_a_kept_connection_closed_during_the_request_is_retried_on_a_fresh_one(
    end: str, peer: StartPeer, prober: HTTPProber
) -> None:
    engine = await peer(first_then(once_then(None, end=end), answering(OK)))

    assert await probes(prober, engine.target(), 4) == [HEALTHY] * 4
    assert (engine.connections, len(engine.requests)) == (2, 5)


async def test_there_is_only_one_retry(peer: StartPeer, prober: HTTPProber) -> None:
    async def hang_up(connection: Connection) -> None:
        await connection.request()

    engine = await peer(first_then(once_then(None, end="close"), hang_up))

    healthy, failed = await probes(prober, engine.target(), 2)
    assert healthy == HEALTHY
    assert_failed(failed, "connection closed before the response head")
    assert engine.connections == 2


async def test_the_retry_has_the_same_deadline(peer: StartPeer, prober: HTTPProber) -> None:
    engine = await peer(first_then(once_then(None, after=0.9 * IMPATIENT, end="reset"), sending(b"")))
    target = engine.target(2 * IMPATIENT)

    assert await prober.probe(target) == HEALTHY
    outcome, seconds = await timed(prober, target)
    assert_failed(outcome, "timed out after 600ms waiting for the response head")
    assert_on_time(seconds, 2 * IMPATIENT)
    assert engine.connections == 2


@pytest.mark.parametrize("end", ["close", "reset"])
async def test_a_partial_answer_on_a_kept_connection_is_a_failure(
    end: str, peer: StartPeer, prober: HTTPProber
) -> None:
    engine = await peer(first_then(once_then(OK[:20], end=end), answering(OK)))

    healthy, failed, again = await probes(prober, engine.target(), 3)
    assert (healthy, again) == (HEALTHY, HEALTHY)
    assert_failed(failed, f"connection {end}")
    assert engine.connections == 2


@pytest.mark.proves("second-chance")
async def test_a_silent_kept_connection_is_no_failure_if_a_fresh_one_answers(
    peer: StartPeer, prober: HTTPProber
) -> None:
    engine = await peer(once_then(None))
    target = engine.target(LONG)

    assert await prober.probe(target) == HEALTHY
    for asked in range(2, 4):
        outcome, seconds = await timed(prober, target)
        assert outcome == HEALTHY
        assert LONG / 2 - 0.005 <= seconds < LONG
        assert engine.connections == asked
        await asyncio.sleep(ON_ITS_WAY)
        assert engine.open == 1, "the silent one is given up"


async def test_a_slow_answer_on_the_kept_connection_is_healthy_if_the_fresh_one_fails(
    peer: StartPeer, prober: HTTPProber
) -> None:
    timeout = LONG
    slow = once_then(OK, after=0.7 * timeout)
    elsewhere = [sending(b""), sending(b"garbage\r\n\r\n"), sending(b"HTTP/1.1 103 Early Hints\r\n\r\n"), once_then(OK)]
    engines = [await peer(first_then(slow, script)) for script in elsewhere]

    for outcomes in await asyncio.gather(*(probes(prober, engine.target(timeout), 2) for engine in engines)):
        assert outcomes == [HEALTHY] * 2


async def test_an_engine_that_is_slow_on_both_connections_is_healthy(peer: StartPeer, prober: HTTPProber) -> None:
    async def slow(connection: Connection) -> None:
        while True:
            await connection.request()
            await asyncio.sleep(0.7 * LONG)
            await connection.send(OK)

    engine = await peer(slow)

    assert await probes(prober, engine.target(LONG), 3) == [HEALTHY] * 3


async def test_the_first_response_of_both_connections_counts(peer: StartPeer, prober: HTTPProber) -> None:
    slowly_bad = await peer(first_then(once_then(BUSY, after=0.7 * LONG), sending(b"")))
    quickly_bad = await peer(first_then(once_then(OK, after=0.9 * LONG), answering(BUSY)))

    both = (probes(prober, engine.target(timeout=LONG), 2) for engine in (slowly_bad, quickly_bad))
    for healthy, failed in await asyncio.gather(*both):
        assert healthy == HEALTHY
        assert_failed(failed, "unexpected status 503", 503)


async def test_no_answer_on_both_connections_fails_at_the_timeout(peer: StartPeer, prober: HTTPProber) -> None:
    engine = await peer(first_then(once_then(None), sending(b"")))
    target = engine.target(IMPATIENT)

    assert await prober.probe(target) == HEALTHY
    outcome, seconds = await timed(prober, target)
    assert_failed(outcome, "timed out after 300ms waiting for the response head")
    assert_on_time(seconds, IMPATIENT)
    assert engine.connections == 2
    assert not await engine.settled()
