"""The first instance creates what leases need at JetStream; later ones repair it, or report what they cannot."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
from tests.adapters.nats.lease_fleet import Fleet, have, until
from tests.servers import nats_fixtures
from tests.servers.nats import NatsServer
from tests.servers.proxy import CuttingProxy

from healthprobe.adapters.nats import JetStreamLeases, JetStreamLog
from healthprobe.adapters.nats.address import NatsAddress
from healthprobe.adapters.nats.connection import ANSWER_WITHIN, JetStream, Request
from healthprobe.ports import ConfigurationError, LogError

nats_server = nats_fixtures.nats_server
nats_url = nats_fixtures.nats_url
nats_cluster = nats_fixtures.nats_cluster
nats_cluster_url = nats_fixtures.nats_cluster_url
prefix = nats_fixtures.prefix

FAR = 0.25
"""Seconds until an answer is there from another continent."""


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


async def test_streams_and_consumers_are_created_as_documented(fleet: Fleet, stream: JetStream, prefix: str) -> None:
    member = await fleet.join("first", lease=2.0)
    await until(lambda: len(member.shards) == 256, "it has everything")
    leases = await stream.call(f"STREAM.INFO.{prefix}_leases", {"subjects_filter": ">"})
    names = {f"shards.{shard}" for shard in range(256)} | {"duties.relay"}
    assert leases["state"]["subjects"] == {f"{prefix}.leases.{name}": 1 for name in names}
    assert (leases["config"]["retention"], leases["config"]["storage"]) == ("workqueue", "file")
    shards = await stream.call(f"CONSUMER.INFO.{prefix}_leases.shards")
    assert shards["config"]["ack_wait"] == 2_000_000_000
    assert shards["num_ack_pending"] == 256
    instances = await stream.call(f"STREAM.INFO.{prefix}_instances")
    assert (instances["config"]["storage"], instances["config"]["max_age"]) == ("memory", 1_200_000_000)


async def test_there_are_as_many_leases_as_the_log_has_shards(stream: JetStream, nats_url: str, prefix: str) -> None:
    async with Fleet(f"{nats_url}&shards=7") as fleet:
        first, second = [await fleet.join(name) for name in ("first", "second")]
        third = await fleet.join("third", url=nats_url)
        await until(have([first, second, third], 3, 2, 2), "all have their shares, those too that did not say how many")
        assert first.shards | second.shards | third.shards == frozenset(range(7))
        assert [member.leases.shard_count for member in (first, second, third)] == [7, 7, 7]
    leases = await stream.call(f"STREAM.INFO.{prefix}_leases", {"subjects_filter": f"{prefix}.leases.shards.*"})
    assert len(leases["state"]["subjects"]) == 7


async def test_many_instances_that_start_together_all_get_their_shares(fleet: Fleet) -> None:
    members = await fleet.join_at_once("a", "b", "c", "d", "e", "f")
    await until(have(members, 43, 43, 43, 43, 42, 42), "all have their shares")


async def test_a_missing_lease_is_put_back(fleet: Fleet, stream: JetStream, prefix: str) -> None:
    member = await fleet.join("first")
    await until(lambda: len(member.shards) == 256, "it has everything")
    await member.leave()
    for subject in (f"{prefix}.leases.shards.7", f"{prefix}.leases.duties.relay"):
        await stream.call(f"STREAM.PURGE.{prefix}_leases", {"filter": subject})
    second = await fleet.join("second")
    await until(lambda: len(second.shards) == 256 and second.leases.has_duties, "it has everything")


async def test_opening_fails_where_a_full_store_does_not_take_a_missing_lease(
    fleet: Fleet, stream: JetStream, prefix: str
) -> None:
    member = await fleet.join("first")
    await until(lambda: len(member.shards) == 256, "it has everything")
    await member.leave()
    await lose_a_lease_and_fill_the_store(stream, prefix)
    with pytest.raises(
        LogError, match=r"\Anats://[^\n]*a stream is full \(maximum bytes exceeded\): raise its limits"
    ) as told:
        await fleet.join("second")
    assert not told.value.permanent


async def test_a_full_store_that_does_not_take_a_missing_lease_costs_no_other_lease(
    fleet: Fleet, stream: JetStream, prefix: str
) -> None:
    members = [await fleet.join(name) for name in ("a", "b")]
    await until(have(members, 128, 128), "both have their shares")
    await lose_a_lease_and_fill_the_store(stream, prefix)
    message = "missing leases cannot be put back: no instance holds their shards"
    await until(lambda: all(member.logged(message) for member in members), "both report it")
    assert {line["err"] for member in members for line in member.logged(message)} == {"maximum bytes exceeded"}
    await asyncio.sleep(2.5)
    assert [len(member.logged(message)) for member in members] == [1, 1]
    assert not any(member.logged("heartbeats fail: other instances do not see this one") for member in members)
    assert len(members[0].shards) + len(members[1].shards) >= 255
    await set_max_bytes(stream, prefix, -1)
    await until(have(members, 128, 128), "the lease is put back once there is room")


async def test_putting_a_missing_lease_back_leaves_the_others_alone(nats_cluster_url: str) -> None:
    """On a cluster, whose leader checks a condition before it replicates the message."""
    async with Fleet(nats_cluster_url) as fleet:
        member = await fleet.join("first")
        await until(lambda: len(member.shards) == 256, "it has everything")
        prefix = member.stream.address.prefix
        await member.stream.call(f"STREAM.PURGE.{prefix}_leases", {"filter": f"{prefix}.leases.shards.7"})
        missing = True
        while missing:
            leases = await member.stream.call(f"STREAM.INFO.{prefix}_leases", {"subjects_filter": ">"})
            missing = len(leases["state"]["subjects"]) < 257
        assert set(leases["state"]["subjects"].values()) == {1}
        assert leases["state"]["last_seq"] == 258, "nothing but that lease was stored again"


async def lose_a_lease_and_fill_the_store(stream: JetStream, prefix: str) -> None:
    """Purges the lease of shard 7 and limits the stream to the bytes that are left, before it is put back."""
    messages = 257
    while messages == 257:
        await set_max_bytes(stream, prefix, -1)
        await stream.call(f"STREAM.PURGE.{prefix}_leases", {"filter": f"{prefix}.leases.shards.7"})
        leases = await stream.call(f"STREAM.INFO.{prefix}_leases")
        await set_max_bytes(stream, prefix, leases["state"]["bytes"])
        messages = (await stream.call(f"STREAM.INFO.{prefix}_leases"))["state"]["messages"]


async def set_max_bytes(stream: JetStream, prefix: str, max_bytes: int) -> None:
    leases = await stream.call(f"STREAM.INFO.{prefix}_leases")
    await stream.call(f"STREAM.UPDATE.{prefix}_leases", {**leases["config"], "max_bytes": max_bytes})


@pytest.mark.parametrize("what", ["STREAM.DELETE.{}_leases", "STREAM.DELETE.{}_instances"])
async def test_a_stream_that_is_deleted_is_created_again(
    fleet: Fleet, stream: JetStream, prefix: str, what: str
) -> None:
    members = [await fleet.join(name) for name in ("a", "b")]
    await until(have(members, 128, 128), "both have their shares")
    await stream.call(what.format(prefix))
    members.append(await fleet.join("c"))
    await until(have(members, 86, 85, 85), "all have their shares")


@pytest.mark.parametrize("what", ["STREAM.DELETE.{}_leases", "CONSUMER.DELETE.{}_leases.duties"])
async def test_of_two_instances_with_the_relay_the_earlier_one_yields(
    fleet: Fleet, stream: JetStream, prefix: str, what: str
) -> None:
    members = [await fleet.join(name) for name in ("a", "b")]
    await until(have(members, 128, 128), "both have their shares")
    await until(lambda: any(member.leases.has_duties for member in members), "somebody relays")
    (before,) = (member for member in members if member.leases.has_duties)
    (after,) = (member for member in members if member is not before)
    await stream.call(what.format(prefix))
    await until(lambda: after.leases.has_duties and not before.leases.has_duties, "the other relays alone")
    await asyncio.sleep(2.5)
    assert after.leases.has_duties
    assert not before.leases.has_duties
    assert len(before.logged("duties were given to another instance")) == 1


async def test_a_lease_of_another_length_is_the_length_for_all(fleet: Fleet, stream: JetStream, prefix: str) -> None:
    first = await fleet.join("first", lease=1.0)
    await until(lambda: len(first.shards) == 256, "it has everything")
    second = await fleet.join("second", lease=2.0)
    (change,) = second.logged("lease duration changed by this instance")
    assert (change["log_level"], change["seconds"], change["before"]) == ("info", 2.0, 1.0)
    await until(lambda: first.logged("lease duration changed by another instance"), "the first follows")
    await until(have([first, second], 128, 128), "both have their shares")
    shards = await stream.call(f"CONSUMER.INFO.{prefix}_leases.shards")
    instances = await stream.call(f"STREAM.INFO.{prefix}_instances")
    assert shards["config"]["ack_wait"] == 2_000_000_000
    assert instances["config"]["max_age"] == 1_200_000_000


@pytest.mark.slow
async def test_leases_that_become_much_shorter_expire_once_at_most(fleet: Fleet) -> None:
    first = await fleet.join("first", lease=60.0)
    await until(lambda: len(first.shards) == 256, "it has everything")
    await asyncio.sleep(1.2)
    second = await fleet.join("second", lease=3.0)
    await until(have([first, second], 128, 128), "both have their shares")
    changes = len(first.sizes)
    await asyncio.sleep(6.0)
    assert len(first.sizes) == changes, "the first renews at the new pace, not after what was a fifth of its lease"
    assert len(first.logged("leases expired: another instance was started with a shorter --lease")) <= 1
    assert len([line for line in first.lines if line["event"].startswith("leases expired")]) <= 1


async def test_an_instance_with_the_same_lease_changes_nothing(fleet: Fleet) -> None:
    members = [await fleet.join(name, lease=0.7) for name in ("a", "b")]
    await until(have(members, 128, 128), "both have their shares")
    assert not any(line["event"].startswith("lease duration") for member in members for line in member.lines)


@pytest.mark.parametrize(
    ("url", "advice"),
    [
        ("?prefix={}&replicas=3", "keeps one replica only: leave \\?replicas= out"),
        ("?prefix=taken", "another stream takes our subjects: write \\?prefix=NAME"),
    ],
)
async def test_what_cannot_be_created_as_the_url_asks_is_reported(
    nats_server: NatsServer, stream: JetStream, prefix: str, url: str, advice: str
) -> None:
    await stream.call("STREAM.CREATE.foreign", {"name": "foreign", "subjects": ["taken.leases.>"]})
    async with Fleet(nats_server.url(url.format(prefix))) as fleet:
        with pytest.raises(ConfigurationError, match=rf"\Anats://[^\n]*{advice}"):
            await fleet.join("first")
    await stream.call("STREAM.DELETE.foreign")


async def test_a_lease_that_is_too_short_is_refused(fleet: Fleet) -> None:
    with pytest.raises(ConfigurationError, match=r"a lease of 0\.1s is too short: give it 0\.5s"):
        await fleet.join("first", lease=0.1)


async def test_an_outage_at_the_opening_may_be_retried(nats_server: NatsServer, prefix: str) -> None:
    async with CuttingProxy(nats_server.port) as proxy:
        stream = await JetStream.open(NatsAddress.of_url(nats_server.url(f"?prefix={prefix}", port=proxy.port)))
        log = await JetStreamLog.open(stream, by_claims=True)
        proxy.refuse()
        await until(lambda: not stream.is_connected, "the connection is gone")
        with pytest.raises(LogError, match=r"\A[^\n]*nats://127[^\n]*; check that the servers run") as failure:
            await JetStreamLeases.open(stream, log)
        assert not failure.value.permanent
        await stream.aclose()


@pytest.mark.slow
async def test_an_instance_far_from_jetstream_has_its_share(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    ask = JetStream.ask

    async def ask_from_afar(self: JetStream, requests: Sequence[Request], within: float = ANSWER_WITHIN) -> list[bytes]:
        await asyncio.sleep(FAR)
        return await ask(self, requests, within)

    monkeypatch.setattr(JetStream, "ask", ask_from_afar)
    member = await fleet.join("first", lease=5.0)
    await until(have([member], 256), "it has everything")
    await member.leave()
