"""An instance that dies, pauses or is cut off loses its shards after a lease, and knows it before others hold them."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable, Collection
from itertools import count

import pytest
from tests.adapters.nats.lease_fleet import Fleet, FleetLog, have, instance_of_its_own, until
from tests.servers import nats_fixtures
from tests.servers.nats import NatsServer
from tests.servers.nats_fixtures import OpenLog
from tests.servers.proxy import CuttingProxy

from healthprobe.adapters.nats.membership import InstanceStream
from healthprobe.domain.cluster import Instance
from healthprobe.domain.shard import shard_of
from healthprobe.testing.contracts.samples import failed, recovered

nats_server = nats_fixtures.nats_server
nats_url = nats_fixtures.nats_url
prefix = nats_fixtures.prefix
own_nats = nats_fixtures.own_nats
open_log = nats_fixtures.open_log

GAME = "game-7"
SHARD = shard_of(GAME)

LEASE = 1.0

CUT_OFF = "leases expired: JetStream cannot be reached"
STOOD_STILL = "leases expired: this process stood still"
UNHEARD = "heartbeats fail: other instances do not see this one"
HEARD_AGAIN = "heartbeats succeed again: other instances see this one"
HELD_AGAIN = "leases are held again"


@pytest.fixture
async def fleet(nats_url: str) -> AsyncIterator[Fleet]:
    async with Fleet(nats_url) as fleet:
        yield fleet


async def test_shards_of_a_killed_instance_are_taken_over_a_lease_later(fleet: Fleet, nats_url: str) -> None:
    async with instance_of_its_own(nats_url, lease=LEASE) as doomed:
        await until(lambda: doomed.size == 256, "it has everything")
        survivor = await fleet.join("survivor", lease=LEASE)
        await until(lambda: len(survivor.shards) == doomed.size == 128, "both have their shares")
        await doomed.end()
        killed = time.monotonic()
        await until(lambda: len(survivor.shards) == 256, "the survivor has everything")
        assert LEASE / 2 < time.monotonic() - killed < LEASE + 5
        assert survivor.leases.has_duties


@pytest.mark.parametrize(("seconds", "of"), [(0.32, 1), (0.5, 4)], ids=["each beat is late", "each fourth is lost"])
async def test_a_dead_instance_is_gone_even_where_jetstream_is_slow(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch, seconds: float, of: int
) -> None:
    members = [await fleet.join(name, lease=LEASE) for name in ("a", "b", "c")]
    await until(have(members, 86, 85, 85), "all have their shares")
    read, beats = InstanceStream.read, count(1)

    async def read_slowly(self: InstanceStream) -> list[Instance]:
        if next(beats) % of == 0:
            await asyncio.sleep(seconds)
        return await read(self)

    monkeypatch.setattr(InstanceStream, "read", read_slowly)
    await asyncio.sleep(LEASE)
    await members.pop().vanish()
    assert await until(have(members, 128, 128), "the others have everything") < 10 * LEASE


async def test_a_paused_instance_drops_its_shards_first_of_all_when_it_resumes(fleet: Fleet, nats_url: str) -> None:
    async with instance_of_its_own(nats_url, lease=LEASE) as paused:
        await until(lambda: paused.size == 256, "it has everything")
        survivor = await fleet.join("survivor", lease=LEASE)
        await until(lambda: len(survivor.shards) == paused.size == 128, "both have their shares")
        seen = len(paused.changes)
        paused.process.send_signal(signal.SIGSTOP)
        stopped = time.monotonic()
        await until(lambda: len(survivor.shards) == 256, "the survivor has everything")
        assert LEASE / 2 < time.monotonic() - stopped < LEASE + 5
        paused.process.send_signal(signal.SIGCONT)
        await until(lambda: len(survivor.shards) == paused.size == 128, "it is given its share again")
        assert paused.changes[seen][1] == 0
        assert paused.lines.count(STOOD_STILL) == 1
        assert CUT_OFF not in paused.lines
        assert [line["shards"] for line in survivor.logged("shards given back")] == [128], "all of it was handed over"
        assert survivor.logged("shards were claimed by another instance") == []


async def test_a_shard_claimed_without_a_lease_is_claimed_back_by_the_lease_holder(
    fleet: Fleet, open_log: OpenLog, nats_url: str
) -> None:
    holder = await fleet.join("holder", lease=LEASE)
    await until(lambda: len(holder.shards) == 256, "it has everything")
    assert await holder.log.append(failed(GAME, 1)) == [failed(GAME, 1)]
    sleeper = await open_log(nats_url, by_claims=True)
    assert await sleeper.claim([SHARD]) == {SHARD}
    before = time.monotonic()
    assert await holder.log.append(recovered(GAME, 2)) == [failed(GAME, 1)]
    await until(lambda: 255 in holder.sizes and len(holder.shards) == 256, "it has everything again")
    assert not holder.leases.covers(SHARD, before), "what it knew of the shard may be old"
    assert holder.leases.covers(SHARD, time.monotonic())
    assert await holder.log.append(recovered(GAME, 2)) == [recovered(GAME, 2)]
    (line,) = holder.logged("shards were claimed without a lease, and are claimed back")
    assert (line["shards"], line["log_level"]) == (1, "warning")


@pytest.mark.parametrize(
    ("cut", "mend"),
    [(CuttingProxy.hang, "pass_on"), (CuttingProxy.refuse, "accept")],
    ids=["silence", "broken connections"],
)
async def test_an_instance_that_is_cut_off_stops_before_another_begins(
    fleet: Fleet, nats_server: NatsServer, prefix: str, cut: Callable[[CuttingProxy], None], mend: str
) -> None:
    async with CuttingProxy(nats_server.port) as proxy:
        cut_off = await fleet.join("cut off", url=nats_server.url(f"?prefix={prefix}", port=proxy.port), lease=LEASE)
        await until(lambda: len(cut_off.shards) == 256, "it has everything")
        other = await fleet.join("other", lease=LEASE)
        await until(have([cut_off, other], 128, 128), "both have their shares")
        fleet.watch()
        cut(proxy)
        gone = time.monotonic()
        await until(lambda: len(other.shards) == 256, "the other has everything")
        assert time.monotonic() - gone < LEASE + 5
        assert cut_off.shards == frozenset()
        (line,) = cut_off.logged(CUT_OFF)
        assert line["log_level"] == "warning"
        assert line["shards"] in range(1, 129), "those that came together end together"
        if mend == "accept":
            await proxy.accept()
        else:
            proxy.pass_on()
        await until(have([cut_off, other], 128, 128), "both have their shares again")
        assert fleet.shared_at_some_time == set()
        assert [line["log_level"] for line in cut_off.logged(HELD_AGAIN)] == ["info"]
        assert len(cut_off.logged(CUT_OFF)) == 1
        assert other.logged(CUT_OFF) == []


async def test_an_instance_whose_heartbeats_fail_says_so_once(
    fleet: Fleet, nats_server: NatsServer, prefix: str
) -> None:
    async with CuttingProxy(nats_server.port) as proxy:
        other = await fleet.join("other", lease=LEASE)
        await until(lambda: len(other.shards) == 256, "it has everything")
        newcomer = await fleet.join("newcomer", url=nats_server.url(f"?prefix={prefix}", port=proxy.port), lease=LEASE)
        proxy.refuse()
        await until(lambda: newcomer.logged(UNHEARD), "it says so")
        await asyncio.sleep(2 * LEASE)
        (line,) = newcomer.logged(UNHEARD)
        assert (line["log_level"], line["shards"]) == ("warning", 0)
        await proxy.accept()
        await until(have([other, newcomer], 128, 128), "both have their shares")
        await until(lambda: newcomer.logged(HEARD_AGAIN), "it says that, too")
        assert newcomer.logged(CUT_OFF) == other.logged(UNHEARD) == []


async def test_a_user_without_permission_to_publish_documents_is_reported(fleet: Fleet, prefix: str) -> None:
    may_not = f'publish: {{ deny: ["{prefix}.instances.>"] }}'
    users = f"authorization {{ users: [{{ user: me, password: p, permissions: {{ {may_not} }} }}] }}"
    with NatsServer(more=users) as server:
        mute = await fleet.join("mute", url=server.url(f"?prefix={prefix}").replace("//", "//me:p@"), lease=LEASE)
        await until(lambda: mute.logged(UNHEARD), "it says so")
        assert f'permissions violation for publish to "{prefix}.instances.mute"' in mute.logged(UNHEARD)[0]["err"]


async def test_a_short_silence_costs_nothing(fleet: Fleet, nats_server: NatsServer, prefix: str) -> None:
    async with CuttingProxy(nats_server.port) as proxy:
        member = await fleet.join("first", url=nats_server.url(f"?prefix={prefix}", port=proxy.port), lease=5.0)
        await until(lambda: len(member.shards) == 256, "it has everything")
        member.sizes.clear()
        proxy.hang()
        await proxy.caught()
        assert await member.leases.confirm({7}) == frozenset()
        proxy.pass_on()
        await until(lambda: member.leases._shards.renewals[0] > time.monotonic() - 0.5, "it is renewed again")
        assert member.sizes == []


async def test_an_end_in_order_takes_two_seconds_where_jetstream_is_silent(
    fleet: Fleet, nats_server: NatsServer, prefix: str
) -> None:
    async with CuttingProxy(nats_server.port) as proxy:
        member = await fleet.join("first", url=nats_server.url(f"?prefix={prefix}", port=proxy.port), lease=20.0)
        await until(lambda: len(member.shards) == 256, "it has everything")
        proxy.hang()
        member.task.cancel()
        began = time.monotonic()
        await member.leases.aclose()
        assert time.monotonic() - began < 5
        assert member.shards == frozenset()


async def test_a_server_that_pauses_or_dies_costs_shards_only_while_it_is_away(
    own_nats: NatsServer,
) -> None:
    async with Fleet(own_nats.url()) as fleet:
        members = [await fleet.join(name, lease=LEASE) for name in ("a", "b")]
        await until(have(members, 128, 128), "both have their shares")
        fleet.watch()
        for member in members:
            member.sizes.clear()
        own_nats.pause()
        await until(have(members, 0, 0), "nobody has any")
        own_nats.resume()
        await until(have(members, 128, 128), "both have their shares again")
        assert fleet.shared_at_some_time == set()
        await until(lambda: all(each.leases.unavailable_for == 0.0 for each in members), "both have heard of it")
        own_nats.kill()
        await until(have(members, 0, 0), "nobody has any")
        await until(lambda: all(each.leases.unavailable_for > LEASE for each in members), "both say that it is away")
        own_nats.start()
        await until(have(members, 128, 128), "both have their shares again")
        await until(lambda: all(each.leases.unavailable_for == 0.0 for each in members), "both have heard of it")
        for member in members:
            assert len(member.logged(CUT_OFF)) + len(member.logged(STOOD_STILL)) == len(member.logged(HELD_AGAIN)) == 2
        assert max(max(member.sizes) for member in members) == 128, "nobody who was not heard counts as gone"
        assert all(member.logged("heartbeat failed") == [] for member in members)
        assert not any(member.task.done() for member in members)


@pytest.mark.slow
async def test_an_outage_leaves_no_subscriptions_behind(own_nats: NatsServer) -> None:
    async with Fleet(own_nats.url()) as fleet:
        member = await fleet.join("first", lease=LEASE)
        await until(have([member], 256), "it has everything")
        own_nats.kill()
        await until(lambda: member.leases.unavailable_for > 4 * LEASE, "that has lasted for some beats")
        own_nats.start()
        await until(have([member], 256), "it has everything again")
        [connection] = own_nats.monitoring("/connz")["connections"]
        assert connection["subscriptions"] < 10, "of the leases that were asked for meanwhile"


async def test_shards_that_a_fault_keeps_out_go_to_other_instances(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim, claims = FleetLog.claim, count(1)

    async def break_once(self: FleetLog, shards: Collection[int]) -> Collection[int]:
        if next(claims) == 1:
            raise ValueError("a fault of the log's")
        return await claim(self, shards)

    monkeypatch.setattr(FleetLog, "claim", break_once)
    member = await fleet.join("first", lease=LEASE)
    await until(have([member], 256), "it has everything at the second try")
