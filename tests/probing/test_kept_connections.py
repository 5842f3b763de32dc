"""Kept connections never cause a false alarm, and never give a probe the answer of another one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.probing.conftest import StartPeer
from tests.probing.peers import OK, Connection, answering, first_then, response, sending
from tests.probing.probes import IMPATIENT, assert_failed, open_descriptors, probes

from healthprobe.domain.outcome import HEALTHY, Failed
from healthprobe.probing.http import HTTPProber

BUSY = response(503, "Connection: keep-alive")
ON_ITS_WAY = 0.03


@pytest.fixture
async def fresh_prober(peer: StartPeer) -> AsyncIterator[HTTPProber]:
    async with HTTPProber(keep_connections=False) as prober:
        yield prober


@pytest.mark.proves("one-connection")
async def test_one_connection_carries_all_probes_of_a_target(peer: StartPeer, prober: HTTPProber) -> None:
    engine = await peer(answering(OK))

    assert await probes(prober, engine.target(), 50) == [HEALTHY] * 50
    assert (engine.connections, len(engine.requests)) == (1, 50)


async def test_two_targets_never_share_a_connection_even_at_the_same_address(
    peer: StartPeer, prober: HTTPProber
) -> None:
    engine = await peer(answering(OK))
    before_the_record_changed, after = engine.target(), engine.target()

    await probes(prober, before_the_record_changed, 2)
    await probes(prober, after, 2)
    assert engine.connections == 2


async def test_a_forgotten_target_has_no_connection(peer: StartPeer, prober: HTTPProber) -> None:
    engine = await peer(answering(OK))
    forgotten, kept = engine.target(), engine.target()
    await prober.probe(forgotten)
    await prober.probe(kept)

    prober.forget(forgotten)
    prober.forget(engine.target())
    await asyncio.sleep(ON_ITS_WAY)
    assert engine.open == 1
    assert await probes(prober, kept, 2) == [HEALTHY] * 2
    assert engine.connections == 2


async def test_a_target_forgotten_during_its_probe_has_no_connection(peer: StartPeer, prober: HTTPProber) -> None:
    async def script(connection: Connection) -> None:
        await connection.request()
        await asyncio.sleep(ON_ITS_WAY)
        await connection.send(OK)
        await connection.silence()

    engine = await peer(script)
    target = engine.target()
    probe = asyncio.ensure_future(prober.probe(target))
    await asyncio.sleep(ON_ITS_WAY / 2)
    prober.forget(target)

    assert await probe == HEALTHY
    assert not await engine.settled()
    assert await prober.probe(target) == HEALTHY, "it may come back all the same"


@pytest.mark.parametrize("end", ["close", "reset"])
async def test_a_connection_closed_by_the_engine_between_probes_is_no_failure(
    end: str, peer: StartPeer, prober: HTTPProber
) -> None:
    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(OK)
        if end == "reset":
            connection.reset()

    engine = await peer(script)
    target = engine.target()

    for asked in range(1, 4):
        assert await prober.probe(target) == HEALTHY
        await asyncio.sleep(ON_ITS_WAY)
        assert engine.connections == asked


@pytest.mark.parametrize(
    ("bad", "status"), [(BUSY, 503), (response(204, body=None), 204), (b"garbage\r\n\r\n", 0), (b"", 0)]
)
async def test_after_a_failure_the_next_probe_uses_a_fresh_connection(
    bad: bytes, status: int, peer: StartPeer, prober: HTTPProber
) -> None:
    engine = await peer(sending(bad))
    target = engine.target(IMPATIENT)

    assert_failed(await prober.probe(target), "", status)
    assert not await engine.settled()
    engine.script = answering(OK)
    assert await prober.probe(target) == HEALTHY
    assert engine.connections == 2


async def test_a_failure_closes_a_kept_connection(peer: StartPeer, prober: HTTPProber) -> None:
    engine = await peer(answering(OK, OK, BUSY))

    outcomes = await probes(prober, engine.target(), 6)
    assert outcomes == [HEALTHY, HEALTHY, Failed(503, "unexpected status 503")] * 2
    assert engine.connections == 2


@pytest.mark.parametrize("gap", [None, 0.0, 0.01])
@pytest.mark.parametrize("forged", [OK, b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 200 OK\r\nX-Hidden: ", b"x"])
async def test_unsolicited_data_is_never_the_answer_to_the_next_probe(
    forged: bytes, gap: float | None, peer: StartPeer, prober: HTTPProber
) -> None:
    all_sent = asyncio.Event()

    async def script(connection: Connection) -> None:
        if connection.number == 1:
            await connection.request()
            await connection.drip([OK + forged] if gap is None else [OK, forged], pause=gap or 0)
            all_sent.set()
        await connection.request()
        await connection.send(BUSY)
        await connection.silence()

    engine = await peer(script)
    target = engine.target()

    assert await prober.probe(target) == HEALTHY
    await all_sent.wait()
    await asyncio.sleep(ON_ITS_WAY)
    assert await prober.probe(target) == Failed(503, "unexpected status 503")
    assert engine.connections == 2


async def test_a_late_answer_is_never_the_answer_to_the_next_probe(peer: StartPeer, prober: HTTPProber) -> None:
    async def late(connection: Connection) -> None:
        await connection.request()
        await connection.send(OK)
        await connection.request()
        await asyncio.sleep(0.25)
        await connection.send(OK)
        await connection.silence()

    engine = await peer(first_then(late, answering(BUSY)))
    target = engine.target(timeout=0.2)

    assert await prober.probe(target) == HEALTHY
    for _ in range(4):
        assert_failed(await prober.probe(target), "unexpected status 503", 503)
        await asyncio.sleep(0.05)


async def test_an_idle_connection_closed_by_the_engine_frees_its_descriptor(
    peer: StartPeer, prober: HTTPProber
) -> None:
    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(OK)

    engine = await peer(script)
    await prober.probe(engine.target())
    await asyncio.sleep(ON_ITS_WAY)
    before = open_descriptors()

    for _ in range(20):
        assert await prober.probe(engine.target()) == HEALTHY
    await asyncio.sleep(ON_ITS_WAY)
    assert open_descriptors() == before


async def test_without_kept_connections_each_probe_opens_and_closes_one(
    peer: StartPeer, fresh_prober: HTTPProber
) -> None:
    engine = await peer(answering(OK))
    target = engine.target()

    for asked in range(1, 6):
        assert await fresh_prober.probe(target) == HEALTHY
        assert not await engine.settled()
        assert engine.connections == asked
    assert all(b"\r\nConnection: close" in request for request in engine.requests)
