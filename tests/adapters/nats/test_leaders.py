"""Leaders that die or stand still. An election takes seconds, and always as many: so several are awaited at once."""

import asyncio
import gc
import json
from collections.abc import Iterator
from functools import partial
from random import Random

import pytest
from tests.adapters.nats.lease_fleet import Fleet, have, until
from tests.adapters.nats.patience import PATIENCE, at_last, events_in
from tests.servers import nats_fixtures, nats_records_fixtures
from tests.servers.nats import NatsCluster, NatsServer
from tests.servers.nats_fixtures import OpenLog
from tests.servers.nats_records_fixtures import OpenPlatform, OpenRecords, Platform

from healthprobe.adapters.nats import JetStreamLog, bucket_watch
from healthprobe.adapters.nats.connection import JetStream
from healthprobe.domain.shard import SHARDS
from healthprobe.testing.contracts.samples import failed, history, recovered

pytestmark = pytest.mark.slow

open_log = nats_fixtures.open_log
open_records = nats_records_fixtures.open_records
open_platform = nats_records_fixtures.open_platform

GAMES = [f"game-{number}" for number in range(40)]
EVENTS_OF_A_GAME = 50
LEASE = 1.0


@pytest.fixture
def clusters() -> Iterator[tuple[NatsCluster, NatsCluster]]:
    """Three servers for each of two stories, to kill and to pause."""
    with NatsCluster() as one, NatsCluster() as other:
        yield one, other


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # nats-py forgets the socket of a vain attempt
async def test_a_log_loses_and_repeats_nothing_when_its_leader_is_killed_or_paused(
    clusters: tuple[NatsCluster, NatsCluster], open_log: OpenLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(JetStream.ask, "__defaults__", (1.0,))  # what is asked of a server that dies is asked again
    async with asyncio.TaskGroup() as stories:
        stories.create_task(a_leader_that_is_killed_costs_no_event_and_makes_none_twice(clusters[0], open_log))
        stories.create_task(
            a_leader_that_stands_still_is_replaced_and_tells_nothing_old_when_it_goes_on(clusters[1], open_log)
        )
    gc.collect()


async def test_records_and_leases_survive_the_loss_of_their_leader(
    clusters: tuple[NatsCluster, NatsCluster],
    open_records: OpenRecords,
    open_platform: OpenPlatform,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bucket_watch, "STALE_AFTER", 0.4)
    monkeypatch.setattr(bucket_watch, "HEARTBEAT", 0.2)
    monkeypatch.setattr(bucket_watch, "SILENCE", 0.5)
    async with asyncio.TaskGroup() as stories:
        stories.create_task(
            the_death_of_the_node_that_leads_the_bucket_and_tells_us_of_it_costs_no_change(
                clusters[0], open_records, open_platform
            )
        )
        stories.create_task(instances_hold_all_shards_again_once_the_leases_have_another_leader(clusters[1]))


async def a_leader_that_is_killed_costs_no_event_and_makes_none_twice(cluster: NatsCluster, open_log: OpenLog) -> None:
    logs = [await open_log(cluster.url()) for _ in range(4)]
    acknowledged: dict[str, str] = {}
    writing = asyncio.gather(*(_write(log, f"writer-{number}", acknowledged) for number, log in enumerate(logs)))
    await until(lambda: len(acknowledged) >= 500, "much is written")
    killed = cluster.leader_of("health_events")
    assert killed is not None
    killed.kill()
    async with asyncio.timeout(PATIENCE):
        await writing
    killed.start()
    told = await events_in(logs[0])
    for game_id in GAMES:
        assert [event.sequence for event in told if event.game_id == game_id] == list(range(1, EVENTS_OF_A_GAME + 1))
    assert acknowledged == {event.id: event.container_id for event in told}


async def _write(log: JetStreamLog, name: str, acknowledged: dict[str, str]) -> None:
    """Bring all games to their last event, together with the others; note whose event each of ours is."""
    chance = Random(name)
    at = dict.fromkeys(GAMES, 0)
    while unfinished := [game_id for game_id in GAMES if at[game_id] < EVENTS_OF_A_GAME]:
        batch = [
            (recovered if sequence % 2 == 0 else failed)(game_id, sequence, container_id=name)
            for game_id in chance.sample(unfinished, min(len(unfinished), 10))
            for sequence in range(at[game_id] + 1, min(at[game_id] + 3, EVENTS_OF_A_GAME) + 1)
        ]
        for ours, stands in zip(batch, await at_last(partial(log.append, batch)), strict=True):
            at[ours.game_id] = stands.sequence if stands else 0
            if stands == ours:
                assert acknowledged.setdefault(ours.id, name) == name


async def a_leader_that_stands_still_is_replaced_and_tells_nothing_old_when_it_goes_on(
    cluster: NatsCluster, open_log: OpenLog
) -> None:
    log = await open_log(cluster.url(), by_claims=True)
    await log.claim(range(SHARDS))
    await log.append([failed("game-7", 1)])
    paused = cluster.leader_of("health_events")
    assert paused is not None
    others = [f"127.0.0.1:{node.port}" for node in cluster.nodes if node is not paused]
    successor = await open_log(f"nats://{','.join(others)}", by_claims=True)
    ours = [recovered("game-7", 2)]
    paused.pause()
    try:
        assert len(await at_last(partial(successor.claim, range(SHARDS)))) == SHARDS
        assert await at_last(partial(successor.append, ours)) == ours
    finally:
        paused.resume()
    for _ in range(100):
        assert await at_last(partial(log.append, [recovered("game-7", 2, container_id="old")])) == ours
    assert await events_in(log) == history("game-7", 2)


async def the_death_of_the_node_that_leads_the_bucket_and_tells_us_of_it_costs_no_change(
    cluster: NatsCluster, open_records: OpenRecords, open_platform: OpenPlatform
) -> None:
    watched = await open_records(cluster.url("/GAMES"))
    platform = await open_platform(cluster.url("/GAMES"))
    assert (await platform.jetstream.stream_info("KV_GAMES")).config.num_replicas == 3
    await platform.put("game-7")
    await watched.shows_games("game-7")
    leader = await who_tells_us_leads(cluster, platform)
    leader.kill()
    await platform.put_at_last("game-8")
    await watched.shows_games("game-7", "game-8")
    leader.start()
    await platform.put_at_last("game-9")
    await watched.shows_games("game-7", "game-8", "game-9")


async def who_tells_us_leads(cluster: NatsCluster, platform: Platform) -> NatsServer:
    """Let the node that has our consumer lead the bucket."""
    [consumer] = await platform.jetstream.consumers_info("KV_GAMES")
    assert consumer.cluster is not None
    [node] = [node for node in cluster.nodes if node.name == consumer.cluster.leader]
    if (leader := cluster.leader_of("KV_GAMES")) is not node:
        wanted = json.dumps({"placement": {"preferred": node.name}}).encode()
        await platform.client.request("$JS.API.STREAM.LEADER.STEPDOWN.KV_GAMES", wanted)
        assert leader is not None
        leader = await cluster.new_leader_of("KV_GAMES", instead_of=leader)
    assert leader is node
    return node


async def instances_hold_all_shards_again_once_the_leases_have_another_leader(cluster: NatsCluster) -> None:
    async with Fleet(cluster.url()) as fleet:
        await fleet.make_log()
        members = await fleet.join_at_once("a", "b", "c", lease=LEASE)
        await until(have(members, 86, 85, 85), "all have their shares")
        leader = cluster.leader_of("health_leases")
        assert leader is not None
        leader.kill()
        await cluster.new_leader_of("health_leases", instead_of=leader)
        await until(have(members, 86, 85, 85), "all have their shares again")
        for member in members:
            assert await member.leases.confirm(range(256)) == member.shards
        assert all(member.logged("heartbeat failed") == [] for member in members)
        assert not any(member.task.done() for member in members)
        last, *others = members
        await last.leave()
        await until(have(others, 128, 128), "the others have everything")
