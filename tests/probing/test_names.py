"""Names, resolved by the real resolver with a name server of the test."""

from __future__ import annotations

import asyncio
import functools
import socket
import struct
import threading
from collections.abc import Iterator

import aiodns
import pytest
from tests.probing.conftest import StartPeer
from tests.probing.peers import OK, answering
from tests.probing.probes import IMPATIENT, assert_failed, assert_on_time, probes, target_at, timed
from tests.probing.resolvers import FixedAddresses

from healthprobe.domain.outcome import HEALTHY
from healthprobe.probing.http import HTTPProber

A_RECORD, ANY_CLASS = 1, 1
NO_ERROR, SERVER_FAILURE, NO_SUCH_NAME = 0, 2, 3


class NameServer:
    """Answers each name with its address, with an error, or not at all where it has neither.

    It has a thread of its own: one that shared the loop would lose most of five hundred questions asked at once.
    """

    def __init__(self) -> None:
        self.addresses: dict[str, str] = {}
        self.errors: dict[str, int] = {}
        self.asked: list[str] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", ("127.0.0.1", self.port))
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while True:
            query, asker = self._socket.recvfrom(4096)
            if not query:
                return
            name, kind, question = question_of(query)
            if kind == A_RECORD:
                self.asked.append(name)
            if name in self.addresses:
                address = self.addresses[name] if kind == A_RECORD else ""
                self._socket.sendto(reply(query[:2], question, NO_ERROR, address), asker)
            elif name in self.errors:
                self._socket.sendto(reply(query[:2], question, self.errors[name], ""), asker)


def question_of(query: bytes) -> tuple[str, int, bytes]:
    labels, position = [], 12
    while length := query[position]:
        labels.append(query[position + 1 : position + 1 + length].decode().lower())
        position += 1 + length
    (kind,) = struct.unpack_from("!H", query, position + 1)
    return ".".join(labels), kind, query[12 : position + 5]


def reply(query_id: bytes, question: bytes, error: int, address: str) -> bytes:
    head = query_id + struct.pack("!HHHHH", 0x8180 | error, 1, 1 if address else 0, 0, 0)
    if not address:
        return head + question
    answer = struct.pack("!HHHIH", 0xC00C, A_RECORD, ANY_CLASS, 0, 4)
    return head + question + answer + bytes(map(int, address.split(".")))


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[NameServer]:
    """The name server that every resolver made in this test asks instead of the machine's."""
    server = NameServer()
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
