"""Faults of the prober itself are inconclusive: neither success nor failure."""

from __future__ import annotations

import asyncio
import errno
import json
import re
import resource
import sys
from pathlib import Path

import pytest
from tests.probing.conftest import StartPeer
from tests.probing.peers import OK, answering, sending
from tests.probing.probes import assert_failed, probes, target_at, timed
from tests.probing.resolvers import Faulty

from healthprobe.domain.outcome import HEALTHY, Inconclusive
from healthprobe.probing.http import HTTPProber

CHILD = Path(__file__).with_name("child.py")
"""A child process whose limits and network can be restricted."""

CANNOT_NARROW = 77
"""The child's message if this machine does not allow it a network namespace."""


async def in_a_child(*arguments: str) -> dict[str, int]:
    """Returns how many probes of a child process ended with each outcome."""
    loop = "uvloop" if "uvloop" in type(asyncio.get_running_loop()).__module__ else "asyncio"
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-W", "error", str(CHILD), loop, *arguments, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await child.communicate()
    if child.returncode == CANNOT_NARROW:
        pytest.skip("this machine allows no network namespaces")
    assert child.returncode == 0
    counts: dict[str, int] = json.loads(output)
    return counts


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (OSError(errno.EMFILE, "x"), "file descriptors"),
        (OSError(errno.ENFILE, "x"), "file descriptors"),
        (OSError(errno.EADDRNOTAVAIL, "x"), "local port"),
        (OSError(errno.ENOBUFS, "x"), "buffers"),
        (OSError(errno.ENOMEM, "x"), "memory"),
        (OSError(errno.ENETUNREACH, "x"), "route"),
        (OSError(errno.ENETDOWN, "x"), "network"),
        (OSError(errno.EPERM, "x"), "firewall"),
        (MemoryError(), "memory"),
        (KeyError("bug"), "own.*KeyError"),
        (RuntimeError("bug"), "own.*RuntimeError"),
        (ValueError("http://user:secret@game-7"), "own.*ValueError"),
    ],
)
async def test_a_fault_of_the_prober_is_inconclusive(error: Exception, cause: str) -> None:
    async with HTTPProber(resolver=Faulty(error)) as prober:
        outcome = await prober.probe(target_at("http://user:secret@game-7.example:8080"))

    assert isinstance(outcome, Inconclusive)
    assert re.search(cause, outcome.cause)
    assert "secret" not in outcome.cause


async def test_probes_without_a_free_descriptor_are_inconclusive(peer: StartPeer) -> None:
    engine = await peer(answering(OK))

    counts = await in_a_child("descriptors", engine.url())

    assert counts.keys() == {"Healthy", "Inconclusive: out of file descriptors (this process's limit)"}
    assert sum(counts.values()) == 60


async def test_a_small_descriptor_limit_fails_no_engine_if_the_budget_follows_it(peer: StartPeer) -> None:
    engine = await peer(answering(OK))

    assert await in_a_child("budget", engine.url()) == {"Healthy": 400}
    assert engine.connections > 200, "connections were closed to make room"


async def test_probes_without_a_free_local_port_are_inconclusive() -> None:
    counts = await in_a_child("ports")

    assert counts == {"Healthy": 4, "Inconclusive: no free local port": 16}


async def test_a_prober_without_a_route_is_inconclusive() -> None:
    counts = await in_a_child("route")

    assert counts == {"Inconclusive: the prober has no route to the engine's network": 20}


@pytest.mark.proves("self-connection")
@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
@pytest.mark.parametrize(("kind", "scheme"), [("http", "http"), ("tcp", "http"), ("http", "https"), ("tcp", "https")])
async def test_a_socket_that_the_kernel_connected_to_itself_is_a_refused_connection(
    kind: str, scheme: str, host: str
) -> None:
    counts = await in_a_child("itself", host, kind, scheme)

    assert counts == {"Failed: connection refused": 1, "the engine can listen again": 1}


@pytest.mark.proves("self-connection-grpc")
async def test_a_grpc_channel_that_the_kernel_connected_to_itself_is_a_refused_connection() -> None:
    assert "Failed: connection refused" in await in_a_child("itself", "127.0.0.1", "grpc", "http")


async def test_the_descriptor_budget_is_never_exceeded_and_fails_no_engine(peer: StartPeer) -> None:
    engine = await peer(answering(OK))

    counts = await in_a_child("twenty", engine.url())

    assert 10 < counts.pop("most descriptors") <= 20
    assert counts == {"Healthy": 180}


async def test_the_capacity_of_a_prober_is_its_budget() -> None:
    async with HTTPProber(descriptor_budget=20) as prober:
        assert prober.capacity == 20
    async with HTTPProber() as prober:
        assert 0 < prober.capacity < resource.getrlimit(resource.RLIMIT_NOFILE)[0]


async def test_the_least_recently_used_connection_is_closed_first(peer: StartPeer) -> None:
    engine = await peer(answering(OK))
    first, second, third = (engine.target() for _ in range(3))
    async with HTTPProber(descriptor_budget=2) as prober:
        for target in (first, second, first, third):
            assert await prober.probe(target) == HEALTHY
        assert engine.connections == 3

        assert await probes(prober, first, 1) == await probes(prober, third, 1) == [HEALTHY]
        assert engine.connections == 3
        assert await prober.probe(second) == HEALTHY
        assert engine.connections == 4


async def test_a_probe_that_gets_no_descriptor_in_time_is_inconclusive(peer: StartPeer) -> None:
    silent = await peer(sending(b""))
    engine = await peer(answering(OK))
    async with HTTPProber(descriptor_budget=1) as prober:
        hanging = asyncio.create_task(prober.probe(silent.target(timeout=2.0)))
        await asyncio.sleep(0)
        outcome, seconds = await timed(prober, engine.target(timeout=0.2))

        assert isinstance(outcome, Inconclusive)
        assert seconds < 1.9
        assert_failed(await hanging, "timed out")
        assert await prober.probe(engine.target()) == HEALTHY
