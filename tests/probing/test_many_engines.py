"""Many engines at once: no probe waits for another engine."""

from __future__ import annotations

import asyncio
import resource
import time
from collections.abc import AsyncIterator, Iterable, Iterator

import pytest
from tests.probing.conftest import StartPeer
from tests.probing.peers import OK, answering, sending
from tests.probing.probes import LATEST, assert_failed, target_at, timed
from tests.probing.resolvers import NeverAnswering

from healthprobe.domain.outcome import HEALTHY, ProbeOutcome
from healthprobe.domain.target import ProbeTarget
from healthprobe.probing.http import HTTPProber

ENGINES = 2_000
LANES = 64
HANGING = 500
TIMEOUT = 1.0
CROWDED = 0.5
"""Seconds that a busy machine may take to begin five hundred probes in one turn of the loop."""


@pytest.fixture(autouse=True)
def enough_descriptors() -> Iterator[None]:
    """Engines and prober share one process here, so each connection costs two."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 3 * ENGINES)), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
async def prober(peer: StartPeer) -> AsyncIterator[HTTPProber]:
    async with HTTPProber(resolver=NeverAnswering(), descriptor_budget=ENGINES + HANGING) as prober:
        yield prober


async def in_lanes(prober: HTTPProber, targets: Iterable[ProbeTarget]) -> list[ProbeOutcome]:
    """Probes all targets by lanes, as the worker does."""
    following = iter(targets)
    outcomes: list[ProbeOutcome] = []

    async def lane() -> None:
        for target in following:
            outcomes.append(await prober.probe(target))  # noqa: PERF401  the lanes share one list

    await asyncio.gather(*(lane() for _ in range(LANES)))
    return outcomes


async def test_two_thousand_engines_have_one_kept_connection_each(peer: StartPeer, prober: HTTPProber) -> None:
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < 3 * ENGINES:
        pytest.skip("this machine's hard limit of descriptors is too low for as many sockets")
    engine = await peer(answering(OK), host="0.0.0.0")
    targets = [
        target_at(f"http://127.{1 + number // 250}.7.{1 + number % 250}:{engine.port}") for number in range(ENGINES)
    ]

    for _ in range(3):
        assert await in_lanes(prober, targets) == [HEALTHY] * ENGINES
    assert engine.connections == ENGINES
    assert len(engine.requests) == 3 * ENGINES
    assert len({request for request in engine.requests if b"Host: 127." in request}) == ENGINES


@pytest.mark.parametrize("trouble", ["engines that hang", "names that do not resolve"])
async def test_five_hundred_dead_engines_delay_no_healthy_one_and_time_out_on_time(
    trouble: str, peer: StartPeer, prober: HTTPProber
) -> None:
    engine = await peer(answering(OK))
    silent = await peer(sending(b""))
    dead = [silent.target(TIMEOUT) for _ in range(HANGING)]
    if trouble == "names that do not resolve":
        dead = [target_at(f"http://game-{number}.example", TIMEOUT) for number in range(HANGING)]
    target = engine.target(TIMEOUT)

    under_way = asyncio.gather(*(timed(prober, target) for target in dead))
    await asyncio.sleep(TIMEOUT / 2)  # their beginning all at once is this test's doing
    slowest, probed = 0.0, 0
    ends_at = time.monotonic() + TIMEOUT / 2
    while time.monotonic() < ends_at:
        outcome, seconds = await timed(prober, target)
        assert outcome == HEALTHY
        slowest, probed = max(slowest, seconds), probed + 1
        await asyncio.sleep(0.005)

    assert probed > 0
    assert slowest < LATEST + CROWDED
    for outcome, seconds in await under_way:
        assert_failed(outcome, "timed out after 1s (connecting|waiting for the response head|resolving the name)")
        assert TIMEOUT - 0.005 <= seconds < TIMEOUT + LATEST + 10 * CROWDED  # all of them begin and end together
