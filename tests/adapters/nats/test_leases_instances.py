"""The documents of instances: what they say, their order, and that they expire."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from tests.adapters.nats.lease_fleet import PATIENCE, Fleet, Member, have, until
from tests.servers import nats_fixtures
from tests.servers.nats import NatsCluster, NatsServer
from tests.servers.proxy import CuttingProxy

from healthprobe.adapters.nats.address import NatsAddress
from healthprobe.adapters.nats.connection import JetStream, Request
from healthprobe.adapters.nats.membership import instances
from healthprobe.adapters.nats.streams import token_of
from healthprobe.domain.cluster import Instance, Takeover
from healthprobe.ports import ConfigurationError, LogError

nats_server = nats_fixtures.nats_server
nats_url = nats_fixtures.nats_url
prefix = nats_fixtures.prefix


@pytest.fixture
async def fleet(nats_url: str) -> AsyncIterator[Fleet]:
    async with Fleet(nats_url) as fleet:
        yield fleet


@pytest.fixture
async def stream(nats_url: str) -> AsyncIterator[JetStream]:
    """A connection that only looks on."""
    stream = await JetStream.open(NatsAddress.of_url(nats_url))
    yield stream
    await stream.aclose()


async def put(stream: JetStream, name: str, document: bytes) -> None:
    await stream.ask([Request(f"{stream.address.prefix}.instances.{token_of(name)}", document)])


async def told_by(stream: JetStream, member: Member) -> Instance:
    async with asyncio.timeout(PATIENCE):
        while True:
            for each in await instances(stream):
                if each.instance == member.name:
                    return each


async def test_there_are_no_instances_before_the_first_has_joined(stream: JetStream) -> None:
    assert await instances(stream) == []


async def test_a_server_without_jetstream_is_reported() -> None:
    server = NatsServer()
    file = server.folder / "server.conf"
    file.write_text(file.read_text().partition("jetstream")[0])
    with server:
        stream = await JetStream.open(NatsAddress.of_url(server.url()))
        with pytest.raises(ConfigurationError, match="runs without JetStream: start it with jetstream"):
            await instances(stream)
        await stream.aclose()


async def test_instances_are_listed_in_the_order_in_which_they_joined(fleet: Fleet, stream: JetStream) -> None:
    names = ["zoë", "b.2 *", "a"]
    members = [await fleet.join(name) for name in names[:1]]
    await until(have(members, 256), "the first is there")
    for name in names[1:]:
        members.append(await fleet.join(name))
        await until(lambda: all(member.shards for member in members), "the next is there")
    await until(have(members, 86, 85, 85), "all have their shares")
    assert [each.instance for each in await instances(stream)] == names
    assert [len(member.shards) for member in members] == [86, 85, 85], "the first has the odd one"


async def test_a_document_says_where_an_instance_runs_and_what_it_holds(fleet: Fleet, stream: JetStream) -> None:
    began = datetime.now(UTC)
    member = await fleet.join("first", games=lambda: 1234)
    await until(lambda: len(member.shards) == 256 and member.leases.has_duties, "it has everything")
    while not (told := await told_by(stream, member)).shards:
        pass
    assert (told.host, told.pid) == (socket.gethostname(), os.getpid())
    assert began - timedelta(seconds=1) < told.started_at <= datetime.now(UTC)
    assert told.shards == tuple(range(256))
    assert told.epochs == tuple(member.log.fencing_token(shard) for shard in range(256))
    assert told.duties == ("relay",)
    assert told.games == 1234
    assert told.newest_renewal is not None
    assert told.oldest_renewal is not None
    assert 0 <= told.newest_renewal <= told.oldest_renewal < 1


async def test_a_takeover_says_whether_shards_were_free_or_handed_over_or_had_expired(
    fleet: Fleet, stream: JetStream
) -> None:
    async def takeover_of(member: Member, shards: int, cause: str) -> Takeover:
        async with asyncio.timeout(PATIENCE):
            while True:
                takeover = (await told_by(stream, member)).takeover
                if takeover is not None and (takeover.shards, takeover.cause) == (shards, cause):
                    return takeover

    first = await fleet.join("first")
    await until(lambda: len(first.shards) == 256, "it has everything")
    await takeover_of(first, 256, "start")
    second = await fleet.join("second")
    await until(have([first, second], 128, 128), "both have their shares")
    await takeover_of(second, 128, "handed over")
    await second.leave()
    await until(lambda: len(first.shards) == 256, "it has everything")
    await takeover_of(first, 128, "handed over")
    third = await fleet.join("third")
    await until(have([first, third], 128, 128), "both have their shares")
    await first.vanish()
    began = datetime.now(UTC)
    await until(lambda: len(third.shards) == 256, "it has everything")
    takeover = await takeover_of(third, 128, "expired")
    assert began - timedelta(seconds=1) < takeover.at <= datetime.now(UTC)


async def test_a_silent_instance_is_gone_before_its_leases_end(fleet: Fleet, stream: JetStream) -> None:
    member = await fleet.join("first", lease=2.0)
    await until(lambda: len(member.shards) == 256, "it has everything")
    await told_by(stream, member)
    await member.vanish()
    began = time.monotonic()
    while await instances(stream):
        pass
    assert 0.3 < time.monotonic() - began < 1.9


async def test_an_instance_that_leaves_is_gone_at_once(fleet: Fleet, stream: JetStream) -> None:
    member = await fleet.join("first", lease=20.0)
    await until(lambda: len(member.shards) == 256, "it has everything")
    await member.leave()
    assert await instances(stream) == []


async def test_a_message_that_is_no_document_is_ignored(fleet: Fleet, stream: JetStream) -> None:
    member = await fleet.join("first")
    await until(lambda: len(member.shards) == 256, "it has everything")
    odd = (b"", b"no JSON", b"[]", b'{"instance": "half"}', b"\xff", b'{"instance": "\xff"}', b'{"x": ' + b"[" * 10_000)
    for number, document in enumerate(odd):
        await put(stream, f"odd-{number}", document)
    assert [each.instance for each in await instances(stream)] == ["first"]
    second = await fleet.join("second")
    await until(have([member, second], 128, 128), "both have their shares")


async def test_unknown_fields_of_a_document_are_ignored(fleet: Fleet, stream: JetStream) -> None:
    member = await fleet.join("first")
    await until(lambda: len(member.shards) == 256, "it has everything")
    later = {"instance": "later", "host": "h", "pid": 1, "started_at": "2026-11-25T00:00:00Z", "colour": "blue"}
    await put(stream, "later", msgspec.json.encode(later))
    await until(lambda: len(member.shards) == 128, "it has its share")


async def test_a_shard_that_another_instance_claimed_later_is_not_ours_whatever_its_lease(
    fleet: Fleet, stream: JetStream
) -> None:
    member = await fleet.join("first", lease=1.2)
    await until(lambda: len(member.shards) == 256, "it has everything")
    epochs = (10**9, 1)
    other = Instance("other", "h", 1, datetime.now(UTC), order=1_000_000, shards=(7, 8), epochs=epochs)
    await put(stream, "other", msgspec.json.encode(other))
    await until(lambda: 7 not in member.shards, "it yields")
    (line,) = member.logged("shards were claimed by another instance")
    assert (line["log_level"], line["shards"]) == ("warning", 1)
    assert 8 in member.shards, "that one was claimed earlier"
    assert member.log.fencing_token(7) is None
    assert not member.leases.covers(7, time.monotonic())
    released = time.monotonic()
    await until(lambda: 7 in member.shards, "nobody has renewed it: it is given again")
    assert time.monotonic() - released > 0.5, "it was not given back, but left to lapse"


async def test_unreachable_servers_are_reported_in_one_line(nats_server: NatsServer) -> None:
    async with CuttingProxy(nats_server.port) as proxy:
        stream = await JetStream.open(NatsAddress.of_url(nats_server.url(port=proxy.port)))
        proxy.refuse()
        with pytest.raises(LogError, match=r"\A[^\n]*nats://127[^\n]*; check that the servers run"):
            await instances(stream)
        await stream.aclose()


async def test_without_a_quorum_no_instance_is_called_gone() -> None:
    with NatsCluster() as cluster:
        async with Fleet(cluster.url()) as fleet:
            await fleet.join("first")
        stream = await JetStream.open(NatsAddress.of_url(cluster.url()))
        assert await instances(stream) == []
        leader = cluster.leader_of("health_instances")
        for node in cluster.nodes:
            if node is not leader:
                node.kill()
        told = ""
        async with asyncio.timeout(PATIENCE):
            while "most of its servers are away, and without them no instance can publish" not in told:
                try:
                    await instances(stream)
                except LogError as error:
                    told = str(error)
                await asyncio.sleep(0.1)
        await stream.aclose()
