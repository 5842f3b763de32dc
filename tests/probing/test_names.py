"""Names, resolved by the real resolver with a name server of the test."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Iterator
from pathlib import Path

import aiodns
import pytest
from tests.probing.conftest import StartPeer
from tests.probing.names.name_server import NO_SUCH_NAME, SERVER_FAILURE, NameServer
from tests.probing.peers import OK, answering
from tests.probing.probes import IMPATIENT, assert_failed, assert_on_time, probes, target_at, timed
from tests.probing.resolvers import FixedAddresses

from healthprobe.domain.outcome import HEALTHY
from healthprobe.probing.http import HTTPProber


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[NameServer]:
    """The name server that every resolver made in this test asks instead of the machine's."""
    server = NameServer()
    (tmp_path / "nsswitch.conf").write_text("hosts: files dns\n")
    monkeypatch.setattr("healthprobe.probing.system_names.NSSWITCH", tmp_path / "nsswitch.conf")
    monkeypatch.setattr("healthprobe.probing.system_names.GAI", tmp_path / "gai.conf")
    ours = functools.partial(aiodns.DNSResolver, nameservers=["127.0.0.1"], udp_port=server.port, domains=[])
    monkeypatch.setattr("healthprobe.probing.resolver.aiodns.DNSResolver", ours)
    yield server
    server.close()


async def test_a_name_is_resolved_once_for_many_probes_of_many_engines(
    names: NameServer, peer: StartPeer, prober: HTTPProber
) -> None:
    names.addresses["games.example"] = "127.0.0.1"
    engine = await peer(answering(OK))
    for turn in range(2):
        targets = [target_at(engine.url(f"/{turn}/{number}", host="games.example")) for number in range(50)]
        assert await asyncio.gather(*map(prober.probe, targets)) == [HEALTHY] * 50
    assert names.asked == ["games.example"]


async def test_a_name_that_does_not_exist_is_a_failure_and_looked_up_each_time(
    names: NameServer, peer: StartPeer, prober: HTTPProber
) -> None:
    names.errors["game-7.example"] = NO_SUCH_NAME
    engine = await peer(answering(OK))
    target = target_at(engine.url(host="game-7.example"))

    for outcome in await probes(prober, target, 2):
        assert_failed(outcome, "resolve the name game-7.example: no such name")
    names.addresses["game-7.example"] = "127.0.0.1"
    assert await prober.probe(target) == HEALTHY


async def test_the_last_good_answer_is_used_while_name_servers_fail(
    names: NameServer, peer: StartPeer, prober: HTTPProber, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("healthprobe.probing.resolver._MIN_TTL", 0.01)
    names.addresses["game-7.example"] = "127.0.0.1"
    engine = await peer(answering(OK))
    url = engine.url(host="game-7.example")
    assert await prober.probe(target_at(url)) == HEALTHY

    names.errors["game-7.example"] = SERVER_FAILURE
    del names.addresses["game-7.example"]
    await asyncio.sleep(0.02)
    assert await prober.probe(target_at(url)) == HEALTHY
    assert names.asked.count("game-7.example") > 1

    names.errors["game-8.example"] = SERVER_FAILURE
    assert_failed(await prober.probe(target_at("http://game-8.example:8080")), "resolve the name game-8.example")


@pytest.mark.proves("dns-silent-known-name")
async def test_the_last_good_answer_is_used_while_name_servers_do_not_answer(
    names: NameServer, peer: StartPeer, prober: HTTPProber, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("healthprobe.probing.resolver._MIN_TTL", 0.01)
    names.addresses["game-7.example"] = "127.0.0.1"
    engine = await peer(answering(OK))
    assert await prober.probe(target_at(engine.url(host="game-7.example"))) == HEALTHY

    names.addresses.clear()
    await asyncio.sleep(0.02)
    fresh = [target_at(engine.url(host="game-7.example"), timeout=0.2) for _ in range(5)]
    outcomes = [await timed(prober, target) for target in fresh]
    assert [outcome for outcome, _ in outcomes] == [HEALTHY] * 5
    assert sum(seconds for _, seconds in outcomes) < 0.2, "the silence is waited for once, not by every probe"


async def test_a_name_without_an_address_is_a_failure(names: NameServer, prober: HTTPProber) -> None:
    names.addresses["game-7.example"] = ""

    assert_failed(await prober.probe(target_at("http://game-7.example:8080")), "resolve the name game-7.example")


async def test_an_unknown_name_without_an_answer_fails_at_the_timeout(names: NameServer, prober: HTTPProber) -> None:
    outcome, seconds = await timed(prober, target_at("http://game-7.example:8080", IMPATIENT))

    assert_failed(outcome, "timed out after 300ms resolving the name")
    assert_on_time(seconds, IMPATIENT)
    assert names.asked


async def test_five_hundred_unresolvable_names_delay_no_name_that_resolves(
    names: NameServer, peer: StartPeer, prober: HTTPProber
) -> None:
    names.addresses["game-7.example"] = "127.0.0.1"
    engine = await peer(answering(OK))
    timeout = 4 * IMPATIENT
    dead = [target_at(f"http://dead-{number}.example:8080", timeout) for number in range(500)]

    under_way = asyncio.gather(*(timed(prober, target) for target in dead))
    await asyncio.sleep(timeout / 3)  # the questions stand before the name server, and none is answered
    outcome = await prober.probe(target_at(engine.url(host="game-7.example")))
    assert outcome == HEALTHY
    assert not under_way.done()
    for outcome, seconds in await under_way:
        assert_failed(outcome, "resol")
        assert_on_time(seconds, timeout)


async def test_an_engine_whose_first_address_is_dead_is_reached_on_its_second(peer: StartPeer) -> None:
    engine = await peer(answering(OK))
    two_addresses = FixedAddresses({"game-7.example": ("127.83.7.9", "127.0.0.1")})
    async with HTTPProber(resolver=two_addresses) as prober:
        assert await prober.probe(target_at(engine.url(host="game-7.example"))) == HEALTHY


async def test_localhost_is_resolved_without_a_name_server(
    names: NameServer, peer: StartPeer, prober: HTTPProber
) -> None:
    engine = await peer(answering(OK))

    assert await prober.probe(target_at(engine.url(host="localhost"))) == HEALTHY
    assert names.asked == []


async def test_a_prober_that_is_closed_while_it_resolves_leaves_no_task(names: NameServer) -> None:
    tasks = asyncio.all_tasks()
    prober = HTTPProber()
    probe = asyncio.ensure_future(prober.probe(target_at("http://game-7.example:8080")))
    await asyncio.sleep(0.02)
    probe.cancel()
    await asyncio.wait({probe})

    await prober.aclose()
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == tasks
