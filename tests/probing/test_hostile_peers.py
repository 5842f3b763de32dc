"""Every kind of prober gives an outcome in time and leaves nothing open, whatever the peer does."""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.probing.conftest import StartPeer
from tests.probing.peers import Connection, Peer
from tests.probing.probes import LATEST, open_descriptors

from healthprobe.domain.endpoint import parse_endpoint
from healthprobe.domain.outcome import Failed
from healthprobe.domain.probe.probe_parsing import settings_from
from healthprobe.domain.target import ProbeTarget
from healthprobe.probing.http import HTTPProber
from healthprobe.probing.prober import ProberByKind

TIMEOUT = 0.25

GRACE = 15.0
"""The seconds that a library may take to close a connection that it was opening."""

KINDS: dict[str, dict[str, Any]] = {
    "http": {},
    "http with a body": {"expect": {"body_contains": "ready"}},
    "http by HEAD": {"method": "HEAD"},
    "tcp with a word": {"kind": "tcp", "send": "PING", "expect": {"body_contains": "PONG"}},
    "grpc": {"kind": "grpc"},
}


@pytest.fixture
async def prober(peer: StartPeer) -> AsyncIterator[ProberByKind]:  # it is closed before its peers are
    prober = ProberByKind(HTTPProber(identity_header="X-Game-ID"))
    yield prober
    await prober.aclose()
    assert prober.open_connections == 0


async def resets(connection: Connection) -> None:
    connection.reset()


async def closes(connection: Connection) -> None:
    connection.close()


async def hangs(connection: Connection) -> None:
    await connection.silence()


async def talks_nonsense(connection: Connection) -> None:
    await connection.send(bytes(range(256)) * 8)
    await connection.silence()


async def floods(connection: Connection) -> None:
    for _ in range(160):
        await connection.send(b"\x80" * 65536)
    await connection.silence()


async def drips(connection: Connection) -> None:
    await connection.drip([b"H", b"T", b"T", b"P"] * 100, 0.05)


async def answers_and_dies(connection: Connection) -> None:
    await connection.anything()
    await connection.send(b"HTTP/1.1 503")
    connection.reset()


@pytest.mark.proves("hostile-peer")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "script",
    [resets, closes, hangs, talks_nonsense, floods, drips, answers_and_dies],
    ids=lambda script: script.__name__,
)
async def test_a_hostile_peer_fails_in_time(peer: StartPeer, prober: ProberByKind, kind: str, script: Any) -> None:
    engine = await peer(script)
    target = ProbeTarget("game-7", parse_endpoint(engine.url()), TIMEOUT, settings_from(KINDS[kind]))
    for _ in range(2):
        began = time.monotonic()
        outcome = await prober.probe(target)
        assert isinstance(outcome, Failed), outcome
        assert outcome.last_error
        assert time.monotonic() - began < TIMEOUT + LATEST
    prober.forget(target)
    assert await is_left_alone(engine)


async def is_left_alone(engine: Peer) -> bool:
    """Returns whether all its connections end."""
    for _ in range(int(GRACE)):
        if await engine.settled(1.0) == 0:
            return True
    return False


@pytest.mark.parametrize("kind", KINDS)
async def test_a_hundred_engines_that_hang_fail_in_time_and_leave_nothing_open(
    peer: StartPeer, prober: ProberByKind, kind: str
) -> None:
    engine = await peer(hangs)
    warm = ProbeTarget("warm", parse_endpoint("http://127.0.0.1:1"), TIMEOUT, settings_from(KINDS[kind]))
    await prober.probe(warm)
    prober.forget(warm)
    tasks, descriptors = len(asyncio.all_tasks()), open_descriptors()
    endpoint = parse_endpoint(engine.url())
    targets = [ProbeTarget(f"game-{number}", endpoint, TIMEOUT, settings_from(KINDS[kind])) for number in range(100)]
    began = time.monotonic()
    outcomes = await asyncio.gather(*map(prober.probe, targets))
    assert all(isinstance(outcome, Failed) for outcome in outcomes)
    assert time.monotonic() - began < TIMEOUT + 4 * LATEST
    for target in targets:
        prober.forget(target)
    assert await is_left_alone(engine)
    gc.collect()
    assert prober.open_connections == 0
    assert len(asyncio.all_tasks()) <= tasks + 1
    assert open_descriptors() <= descriptors + 10


async def test_without_the_extra_the_error_says_what_to_install(
    prober: ProberByKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "healthprobe.probing.grpc", None)
    target = ProbeTarget("game-7", parse_endpoint("http://127.0.0.1:1"), TIMEOUT, settings_from({"kind": "grpc"}))
    assert await prober.probe(target) == Failed(0, "kind grpc is an extra: pip install 'healthprobe[grpc]'")
