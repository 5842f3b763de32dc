"""A kept connection never hides for long what a fresh one would meet."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from tests.probing.conftest import StartPeer
from tests.probing.names.name_server import NO_SUCH_NAME, SERVER_FAILURE, NameServer
from tests.probing.peers import OK, answering
from tests.probing.probes import assert_failed, probes, target_at
from tests.probing.test_names import names

from healthprobe.domain.outcome import HEALTHY
from healthprobe.domain.record import RuntimeRecord
from healthprobe.domain.target import parse_target
from healthprobe.probing.http import HTTPProber

__all__ = ["names"]

TTL_IS_OVER = 1.1
"""Seconds: the name server's answers hold for none, and so for the shortest time that the resolver allows."""

MAX_AGE = 0.3
ON_ITS_WAY = 0.05


@pytest.mark.proves("name-moved")
async def test_a_connection_to_an_address_that_its_name_has_left_is_closed(
    names: NameServer, peer: StartPeer, prober: HTTPProber
) -> None:
    before = await peer(answering(OK))
    after = await peer(answering(OK), "127.0.0.2", before.port)
    names.addresses["game-7.example"] = "127.0.0.1"
    target = target_at(before.url(host="game-7.example"))
    assert await probes(prober, target, 3) == [HEALTHY] * 3

    names.addresses["game-7.example"] = "127.0.0.2"
    await asyncio.sleep(TTL_IS_OVER)
    assert await probes(prober, target, 3) == [HEALTHY] * 3
    assert (before.connections, len(before.requests)) == (1, 3)
    assert (after.connections, len(after.requests)) == (1, 3)
    assert not await before.settled()


async def test_a_name_is_looked_up_again_once_per_ttl_and_its_connection_kept(
    names: NameServer, peer: StartPeer, prober: HTTPProber
) -> None:
    engine = await peer(answering(OK))
    names.addresses["game-7.example"] = "127.0.0.1"
    target = target_at(engine.url(host="game-7.example"))
    assert await probes(prober, target, 50) == [HEALTHY] * 50
    await asyncio.sleep(TTL_IS_OVER)
    assert await probes(prober, target, 50) == [HEALTHY] * 50
    assert engine.connections == 1
    assert len(names.asked) == 2


@pytest.mark.proves("name-gone")
async def test_the_connection_of_a_name_that_is_gone_is_closed(
    names: NameServer, peer: StartPeer, prober: HTTPProber
) -> None:
    engine = await peer(answering(OK))
    names.addresses["game-7.example"] = "127.0.0.1"
    target = target_at(engine.url(host="game-7.example"))
    assert await prober.probe(target) == HEALTHY

    del names.addresses["game-7.example"]
    names.errors["game-7.example"] = NO_SUCH_NAME
    await asyncio.sleep(TTL_IS_OVER)
    assert_failed(await prober.probe(target), "cannot resolve the name game-7.example: no such name")
    assert not await engine.settled()


@pytest.mark.proves("name-servers-away")
@pytest.mark.parametrize("errors", [{"game-7.example": SERVER_FAILURE}, {}])
async def test_name_servers_that_fail_or_are_silent_end_no_connection(
    errors: dict[str, int], names: NameServer, peer: StartPeer, prober: HTTPProber
) -> None:
    engine = await peer(answering(OK))
    names.addresses["game-7.example"] = "127.0.0.1"
    target = target_at(engine.url(host="game-7.example"), timeout=0.5)
    assert await prober.probe(target) == HEALTHY

    names.addresses.clear()
    names.errors = errors
    await asyncio.sleep(TTL_IS_OVER)
    assert await probes(prober, target, 20) == [HEALTHY] * 20
    assert engine.connections == 1


@pytest.mark.proves("closed-listener")
async def test_a_closed_listener_is_seen_at_the_greatest_age_of_its_kept_connection(peer: StartPeer) -> None:
    engine = await peer(answering(OK))
    target = engine.target()
    async with HTTPProber(keep_alive_max_age=MAX_AGE) as prober:
        assert await prober.probe(target) == HEALTHY
        await engine.stop_listening()
        await asyncio.sleep(MAX_AGE)
        assert_failed(await prober.probe(target), "connection refused")
        assert not await engine.settled()


async def test_a_new_engine_at_the_path_of_a_socket_is_asked_at_the_greatest_age(tmp_path: Path) -> None:
    path = tmp_path / "game-7.sock"
    asked = list[str]()

    def engine(name: str) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while await reader.read(4096):
                asked.append(name)
                writer.write(OK)
            writer.close()
            await writer.wait_closed()

        return serve

    old = await asyncio.start_unix_server(engine("old"), path)
    target = parse_target(RuntimeRecord("game-7", "c0ffee", f"unix:{path}"), 5.0)
    async with HTTPProber(keep_alive_max_age=MAX_AGE) as prober:
        assert await prober.probe(target) == HEALTHY
        path.unlink()
        new = await asyncio.start_unix_server(engine("new"), path)
        await asyncio.sleep(MAX_AGE)
        assert await prober.probe(target) == HEALTHY
    await asyncio.sleep(ON_ITS_WAY)
    old.close()
    new.close()
    assert asked == ["old", "new"]


@pytest.mark.proves("no-herd")
async def test_games_that_began_at_once_connect_anew_spread_over_the_greatest_age(peer: StartPeer) -> None:
    engine = await peer(answering(OK))
    targets = [parse_target(RuntimeRecord(f"game-{number}", "", engine.url()), 5.0) for number in range(100)]
    loop, fresh = asyncio.get_running_loop(), list[int]()
    async with HTTPProber(keep_alive_max_age=1.0) as prober:
        begun = loop.time()
        await asyncio.gather(*map(prober.probe, targets))
        for _ in range(10):
            await asyncio.sleep(0.1)
            before, previous, begun = engine.connections, begun, loop.time()
            await asyncio.gather(*map(prober.probe, targets))
            fresh.append(engine.connections - before)
            seconds = loop.time() - previous
            assert fresh[-1] <= len(targets) * seconds + 20, "as many as have had their phase since, and chance"
    assert sum(fresh) >= 80, "each once a second"
