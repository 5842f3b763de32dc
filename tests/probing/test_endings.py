"""Cancelled probes and closed probers leave no socket and no task."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from tests.probing.conftest import StartPeer
from tests.probing.peers import OK, Peer, answering, first_then, once_then, sending
from tests.probing.probes import open_descriptors, probes, target_at
from tests.probing.resolvers import NeverAnswering

from healthprobe.domain.outcome import HEALTHY, Failed
from healthprobe.domain.target import ProbeTarget
from healthprobe.probing.http import HTTPProber


async def cancelled_after(seconds: float, prober: HTTPProber, target: ProbeTarget) -> asyncio.Task[object]:
    probe: asyncio.Task[object] = asyncio.create_task(prober.probe(target))
    await asyncio.sleep(seconds)
    assert not probe.done()
    probe.cancel()
    await asyncio.wait({probe})
    return probe


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 103 Early Hints\r\n\r\n", b"HTTP/1.1 200 OK\r\nX-Half: "])
async def test_a_probe_cancelled_while_it_waits_leaves_no_socket(
    answer: bytes, peer: StartPeer, prober: HTTPProber
) -> None:
    engine = await peer(sending(answer))
    target = engine.target()

    assert (await cancelled_after(0.02, prober, target)).cancelled()
    assert not await engine.settled()
    engine.script = answering(OK)
    assert await prober.probe(target) == HEALTHY


async def test_a_probe_cancelled_on_a_kept_connection_closes_it(peer: StartPeer, prober: HTTPProber) -> None:
    engine = await peer(first_then(once_then(OK, after=0.1), answering(OK)))
    target = engine.target()
    await prober.probe(target)

    assert (await cancelled_after(0.02, prober, target)).cancelled()
    assert not await engine.settled()
    await asyncio.sleep(0.1)
    assert await prober.probe(target) == HEALTHY
    assert engine.connections == 2


async def test_a_probe_cancelled_at_its_second_chance_closes_both_connections(
    peer: StartPeer, prober: HTTPProber
) -> None:
    engine = await peer(first_then(once_then(None), sending(b"")))
    target = engine.target(timeout=0.2)
    await prober.probe(target)

    assert (await cancelled_after(0.15, prober, target)).cancelled()
    assert engine.connections == 2
    assert not await engine.settled(within=0.02), "at once, and not at the timeout"


async def test_a_probe_cancelled_while_it_connects_or_resolves_leaves_no_socket(
    without_syn_ack: str, peer: StartPeer
) -> None:
    async with HTTPProber(resolver=NeverAnswering()) as prober:
        engine = await peer(answering(OK))
        assert await prober.probe(engine.target()) == HEALTHY
        before = open_descriptors()

        for url in (without_syn_ack, "http://game-7.example", without_syn_ack.replace("http:", "https:")):
            assert (await cancelled_after(0.02, prober, target_at(url))).cancelled()
        await asyncio.sleep(0.02)
        assert open_descriptors() == before


async def test_a_probe_cancelled_while_it_waits_for_a_descriptor_takes_none(peer: StartPeer) -> None:
    silent = await peer(sending(b""))
    engine = await peer(answering(OK))
    async with HTTPProber(descriptor_budget=1) as prober:
        hanging = asyncio.create_task(cancelled_after(0.06, prober, silent.target()))
        await asyncio.sleep(0)
        assert (await cancelled_after(0.02, prober, engine.target())).cancelled()
        assert (await hanging).cancelled()

        assert await prober.probe(engine.target()) == HEALTHY
    assert engine.connections == 1


async def test_a_prober_works_after_a_cancellation_at_any_moment(peer: StartPeer, prober: HTTPProber) -> None:
    engine = await peer(answering(OK))
    target = engine.target()

    for turns in range(40):
        probe = asyncio.ensure_future(prober.probe(target))
        for _ in range(turns % 10):
            await asyncio.sleep(0)
        probe.cancel()
        await asyncio.wait({probe})
        assert probe.cancelled() or probe.result() == HEALTHY
    assert await probes(prober, target, 3) == [HEALTHY] * 3
    await asyncio.sleep(0.03)
    assert engine.open == 1


async def idle(prober: HTTPProber, engine: Peer) -> None:
    assert await probes(prober, engine.target(), 2) == [HEALTHY] * 2


async def draining(prober: HTTPProber, engine: Peer) -> None:
    engine.script = sending(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhang")
    assert await prober.probe(engine.target()) == HEALTHY


@pytest.mark.parametrize("state", [idle, draining])
async def test_a_closed_prober_has_no_socket_and_no_task(
    state: Callable[[HTTPProber, Peer], asyncio.Future[None]], peer: StartPeer
) -> None:
    engine = await peer(answering(OK))
    await asyncio.sleep(0)
    tasks = asyncio.all_tasks()
    before = open_descriptors()

    prober = HTTPProber()
    await state(prober, engine)
    assert engine.open == 1
    await prober.aclose()

    assert not await engine.settled()
    assert asyncio.all_tasks() == tasks
    assert open_descriptors() <= before + 1, "uvloop keeps one of its own after its first connection"


async def test_a_prober_can_be_closed_twice(peer: StartPeer) -> None:
    engine = await peer(answering(OK))
    prober = HTTPProber()
    await prober.probe(engine.target())

    await prober.aclose()
    await prober.aclose()
    assert not await engine.settled()


async def test_closing_a_prober_ends_its_probes_inconclusive(without_syn_ack: str, peer: StartPeer) -> None:
    silent = await peer(sending(b""))
    prober = HTTPProber(resolver=NeverAnswering())
    kept = (await peer(once_then(None))).target()
    assert await prober.probe(kept) == HEALTHY
    targets = [kept, silent.target(), target_at(without_syn_ack), target_at("http://game-7.example")]
    under_way = [asyncio.ensure_future(prober.probe(target)) for target in targets]
    await asyncio.sleep(0.03)

    async with asyncio.timeout(1):
        await prober.aclose()
        ends = await asyncio.gather(*under_way, return_exceptions=True)
    assert not any(isinstance(end, Failed) for end in ends), ends
