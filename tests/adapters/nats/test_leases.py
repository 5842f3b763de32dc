"""Instances share the shards equally, move as few as possible, and hand over theirs when they leave."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from tests.adapters.nats.lease_fleet import Fleet, have, until
from tests.servers import nats_fixtures

nats_server = nats_fixtures.nats_server
nats_url = nats_fixtures.nats_url
prefix = nats_fixtures.prefix

LONG = 20.0
"""A lease so long that nothing in a test waits for its end, nor for a beat: hands over at once, or not in time."""

EVERY_SHARD = frozenset(range(256))


@pytest.fixture
async def fleet(nats_url: str) -> AsyncIterator[Fleet]:
    async with Fleet(nats_url) as fleet:
        yield fleet


async def test_one_instance_alone_has_every_shard_and_the_duties(fleet: Fleet) -> None:
    alone = await fleet.join("alone")
    await until(lambda: alone.shards == EVERY_SHARD and alone.leases.has_duties, "it has everything")
    assert alone.shards is alone.shards, "the same object as long as nothing changes"


async def test_a_shard_is_covered_from_when_it_was_claimed_on(fleet: Fleet) -> None:
    before = time.monotonic()
    alone = await fleet.join("alone")
    await until(lambda: alone.shards == EVERY_SHARD, "it has everything")
    assert alone.leases.covers(7, time.monotonic())
    assert not alone.leases.covers(7, before)
    await alone.vanish()
    await until(lambda: not alone.leases.covers(7, time.monotonic()), "its lease ends, though nothing runs any more")
    assert 7 not in alone.shards


async def test_a_fourth_instance_is_given_its_share_and_no_other_shard_moves(fleet: Fleet) -> None:
    three = [await fleet.join(name) for name in ("a", "b", "c")]
    await until(have(three, 86, 85, 85), "three have their shares")
    had = {member: member.shards for member in three}
    for member in three:
        member.sizes.clear()
    fourth = await fleet.join("d")
    await until(have([*three, fourth], 64, 64, 64, 64), "four have their shares")
    assert sum(len(had[member] - member.shards) for member in three) == 64, "a quarter of all"
    assert all(member.shards < had[member] for member in three), "none of them was given another one"
    assert max(fourth.sizes) == 64
    assert all(member.sizes == [64] for member in three), "each gave back once what it had to"


async def test_shards_of_an_instance_that_leaves_are_spread_at_once_and_no_other_moves(fleet: Fleet) -> None:
    members = [await fleet.join(name, lease=LONG) for name in ("a", "b", "c", "d")]
    await until(have(members, 64, 64, 64, 64), "four have their shares")
    leaver, *others = members
    had = {member: member.shards for member in others}
    began = time.monotonic()
    await leaver.leave()
    assert leaver.shards == frozenset()
    assert not leaver.leases.has_duties
    await until(have(others, 86, 85, 85), "three have their shares")
    assert time.monotonic() - began < LONG / 4
    assert all(had[member] < member.shards for member in others)


async def test_one_instance_has_the_duties_and_hands_them_over_with_its_shards(fleet: Fleet) -> None:
    members = [await fleet.join(name, lease=LONG) for name in ("a", "b", "c")]
    told: list[bool] = []
    for member in members:
        member.leases.on_change(lambda: told.append(sum(each.leases.has_duties for each in members) <= 1))
    while members:
        await until(lambda: sum(each.leases.has_duties for each in members) == 1, "one has the duties")
        on_duty = next(each for each in members if each.leases.has_duties)
        members.remove(on_duty)
        await on_duty.leave()
    assert all(told)


async def test_before_release_is_awaited_while_the_lease_is_still_renewed_and_no_instance_holds_the_shard(
    fleet: Fleet,
) -> None:
    settled: list[frozenset[int]] = []

    async def settle(shards: frozenset[int]) -> None:
        assert not shards & first.shards
        assert not any(first.leases.covers(shard, time.monotonic()) for shard in shards)
        assert await first.leases.confirm(shards) == shards
        assert None not in {first.log.fencing_token(shard) for shard in shards}
        assert not any(name == "second" for name, _ in fleet.door.claims)
        settled.append(shards)

    first = await fleet.join("first", settle=settle)
    await until(lambda: first.shards == EVERY_SHARD, "it has everything")
    second = await fleet.join("second")
    await until(have([first, second], 128, 128), "both have their shares")
    assert settled == [second.shards]
    assert {first.log.fencing_token(shard) for shard in second.shards} == {None}, "it writes nothing more for those"
    assert first.logged("shards released with work pending") == []


async def test_a_before_release_that_hangs_delays_the_release_by_a_second(fleet: Fleet) -> None:
    async def settle(_: frozenset[int]) -> None:
        await asyncio.Event().wait()

    slow = await fleet.join("slow", settle=settle)
    await until(lambda: slow.shards == EVERY_SHARD, "it has everything")
    began = time.monotonic()
    second = await fleet.join("second")
    await until(have([slow, second], 128, 128), "both have their shares")
    assert 0.9 < time.monotonic() - began < 5
    assert len(slow.logged("shards released with work pending")) == 1


async def test_an_instance_that_stops_hands_over_its_shards_first_and_its_duty_last(fleet: Fleet) -> None:
    ending = await fleet.join("ending")
    await until(lambda: ending.leases.has_duties, "it has the duties")
    other = await fleet.join("other")
    await until(have([ending, other], 128, 128), "both have their shares")
    await ending.leases.give_back_shards()
    assert ending.shards == frozenset()
    await until(lambda: other.shards == EVERY_SHARD, "the other has everything")
    ending.sizes.clear()
    await asyncio.sleep(1.2)  # longer than a lease
    assert ending.leases.has_duties
    assert ending.sizes == [], "it is given nothing any more"
    await ending.leave()
    await until(lambda: other.leases.has_duties, "the other has the duties")


async def test_the_shards_acquired_last_are_released_first(fleet: Fleet) -> None:
    members = [await fleet.join(name, lease=LONG) for name in ("a", "b")]
    await until(have(members, 128, 128), "two have their shares")
    first, second = members
    early = second.shards
    await first.leave()
    await until(lambda: second.shards == EVERY_SHARD, "the other has everything")
    third = await fleet.join("c", lease=LONG)
    await until(have([second, third], 128, 128), "two have their shares")
    assert second.shards == early


async def test_confirm_returns_what_is_held_and_nothing_without_jetstream(fleet: Fleet) -> None:
    members = [await fleet.join(name, lease=LONG) for name in ("a", "b")]
    await until(have(members, 128, 128), "two have their shares")
    a, b = members
    assert await a.leases.confirm(EVERY_SHARD) == a.shards
    assert await a.leases.confirm(b.shards) == frozenset()
    await a.stream.aclose()
    assert await a.leases.confirm(a.shards) == frozenset()
    assert a.leases.covers(min(a.shards), time.monotonic()), "it is not confirmed, but not over either"


async def test_shards_that_cannot_be_claimed_are_not_ours(fleet: Fleet) -> None:
    fleet.door.closed = True
    alone = await fleet.join("alone")
    await until(lambda: alone.logged("shards cannot be claimed"), "it says so")
    assert alone.shards == frozenset()
    fleet.door.withheld = frozenset({7, 8})
    fleet.door.closed = False
    await until(lambda: alone.shards == EVERY_SHARD - {7, 8}, "it has what it was given")
    assert len(alone.logged("shards cannot be claimed")) == 1
    fleet.door.withheld = frozenset()
    await until(lambda: alone.shards == EVERY_SHARD, "it has everything")


async def test_refused_claims_are_tried_again_once_a_heartbeat(fleet: Fleet) -> None:
    fleet.door.closed = True
    alone = await fleet.join("alone", lease=1.0)
    await until(lambda: fleet.door.refusals, "it was refused")
    before = fleet.door.refusals
    await asyncio.sleep(2.0)
    assert 2 <= fleet.door.refusals - before <= 11
    fleet.door.closed = False
    assert await until(lambda: alone.shards == EVERY_SHARD, "it has everything") < 5


async def test_a_faulty_listener_or_before_release_costs_no_shard(fleet: Fleet) -> None:
    async def settle(_: frozenset[int]) -> None:
        raise RuntimeError("settles badly")

    def hear() -> None:
        raise RuntimeError("hears badly")

    first = await fleet.join("first", settle=settle)
    first.leases.on_change(hear)
    await until(lambda: first.shards == EVERY_SHARD, "it has everything")
    second = await fleet.join("second")
    await until(have([first, second], 128, 128), "both have their shares")
    assert first.logged("a listener for changes of shards failed")
    assert first.logged("shards released with work pending")


async def test_a_fleet_that_starts_at_once_settles_soon(fleet: Fleet) -> None:
    members = await fleet.join_at_once(*(f"member-{number}" for number in range(8)))
    await until(have(members, *[32] * 8), "all have their shares")
    for member in members:
        member.sizes.clear()
    await asyncio.sleep(0.6)  # three beats
    assert [member.sizes for member in members] == [[]] * 8
    assert {line["event"] for member in members for line in member.lines} <= {
        "shards taken over",
        "shards given back",
        "delivery started",
        "JetStream request failed",
    }


async def test_takeovers_are_logged_with_the_holder_before_and_releases_by_the_instance_that_leaves(
    fleet: Fleet,
) -> None:
    first, second = [await fleet.join(name) for name in ("first", "second")]
    await until(have([first, second], 128, 128), "both have their shares")
    await until(lambda: first.leases.has_duties or second.leases.has_duties, "somebody delivers")
    leaving, staying = (first, second) if first.leases.has_duties else (second, first)
    assert leaving.logged("delivery started")

    def know_each_other() -> bool:
        return {each.instance: len(each.shards) for each in staying.leases.instances} == {"first": 128, "second": 128}

    await until(know_each_other, "each knows what the other has")
    assert staying.leases.silent_for < 1.0
    await leaving.leave()
    await until(lambda: len(staying.shards) == 256 and staying.leases.has_duties, "the other has all")
    assert leaving.logged("shards given back")[-1]["shards"] == 128
    assert leaving.logged("delivery handed over")
    assert leaving.name in staying.logged("shards taken over")[-1]["of"]
    assert staying.logged("delivery started")


async def test_a_blind_instance_leaves_its_shards_to_the_others_until_it_sees_again(
    fleet: Fleet,
) -> None:
    three = [await fleet.join(name) for name in ("a", "b", "c")]
    await until(have(three, 86, 85, 85), "three have their shares")
    blind, *others = three
    blind.leases.set_sight(sees=False)
    await until(have(three, 0, 128, 128), "those that see have all")
    blind.leases.set_sight(sees=True)
    await until(have(three, 86, 85, 85), "three have their shares again")
    assert frozenset().union(blind.shards, *(member.shards for member in others)) == EVERY_SHARD


async def test_if_all_are_blind_they_keep_their_shards(fleet: Fleet) -> None:
    two = [await fleet.join(name) for name in ("a", "b")]
    await until(have(two, 128, 128), "two have their shares")
    for member in two:
        member.leases.set_sight(sees=False)
    await until(have(two, 128, 128), "there is nobody better")
    late = await fleet.join("c")
    await until(have([*two, late], 0, 0, 256), "whoever sees has all")
