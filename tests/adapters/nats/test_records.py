"""Records in a bucket: any NATS client edits them, changes are known as they happen, a bad value hides no other."""

import asyncio
import gc
import time

import pytest
from nats.js.errors import KeyNotFoundError
from tests.servers import nats_fixtures, nats_records_fixtures
from tests.servers.nats_records_fixtures import OpenPlatform, OpenRecords, Platform

from healthprobe.domain.record import RUNNING, RuntimeRecord
from healthprobe.ports import ConfigurationError, StoreError

nats_server = nats_fixtures.nats_server
nats_url = nats_fixtures.nats_url
prefix = nats_fixtures.prefix
open_records = nats_records_fixtures.open_records
open_platform = nats_records_fixtures.open_platform

GAME_7 = RuntimeRecord("game-7", "c0ffee", "http://game-7:8080")
GAME_8 = RuntimeRecord("game-8", "", "http://game-8:8080")


@pytest.fixture
async def platform(open_platform: OpenPlatform, nats_url: str) -> Platform:
    return await open_platform(nats_url)


async def test_a_change_by_any_client_is_known_at_once(
    platform: Platform, open_records: OpenRecords, nats_url: str
) -> None:
    watched = await open_records(nats_url)
    await platform.put("game-7", GAME_7.engine_endpoint, current_container_id="c0ffee", game_id="game-7")
    await watched.shows(GAME_7)
    await platform.put("game-8", GAME_8.engine_endpoint)
    await watched.shows(GAME_7, GAME_8)
    await platform.delete("game-7")
    await watched.shows(GAME_8)
    await platform.put("game-7", "http://elsewhere:1", status="starting")
    await watched.shows(RuntimeRecord("game-7", "", "http://elsewhere:1", "starting"), GAME_8)
    await platform.purge("game-8")
    await platform.purge("game-7")
    await watched.shows()


async def test_the_key_is_the_game_id_where_the_value_has_none(
    platform: Platform, open_records: OpenRecords, nats_url: str
) -> None:
    await platform.make()
    for key in ("eu.game-7", "eu/west/game-7", "a=b_c", "=Zm9v"):
        await platform.put(key)
    await platform.put("some.key", game_id="named otherwise")
    watched = await open_records(nats_url)
    everything = {"eu.game-7", "eu/west/game-7", "a=b_c", "=Zm9v", "named otherwise"}
    assert set(await watched.endpoints()) == everything
    assert await watched.store.remove(everything | {"nobody"}) == 5
    assert await watched.store.list_all() == []


async def test_the_same_list_is_returned_until_a_record_in_it_changes(
    platform: Platform, open_records: OpenRecords, nats_url: str
) -> None:
    watched = await open_records(nats_url)
    await platform.put("game-7", GAME_7.engine_endpoint, current_container_id="c0ffee")
    await watched.shows(GAME_7)
    listed = await watched.store.list_by_status(RUNNING)
    await platform.put("game-7", GAME_7.engine_endpoint, current_container_id="c0ffee", status=RUNNING)
    await platform.put("stopped", status="stopped")
    await watched.shows(GAME_7, RuntimeRecord("stopped", "", "http://h:1", "stopped"))
    assert await watched.store.list_by_status(RUNNING) is listed
    assert watched.store._index.version == 2, "a value that is put once more changes nothing"
    await platform.put("game-7", GAME_7.engine_endpoint, current_container_id="cafe")
    await watched.shows(
        RuntimeRecord("game-7", "cafe", GAME_7.engine_endpoint), RuntimeRecord("stopped", "", "http://h:1", "stopped")
    )
    assert await watched.store.list_by_status(RUNNING) is not listed
    assert listed == [GAME_7]


async def test_two_keys_that_name_one_game_are_listed_in_the_same_order_by_every_instance(
    platform: Platform, open_records: OpenRecords, nats_url: str
) -> None:
    first = await open_records(nats_url)
    for number in range(20):
        await platform.put(f"key-{number}", f"http://h:{number}", game_id="game-7")
    await platform.put("game-8")
    while len(listed := await first.store.list_by_status(RUNNING)) < 21:
        await first.changed.wait()
        first.changed.clear()
    for number in reversed(range(20)):
        await platform.put(f"key-{number}", f"http://h:{number}", game_id="game-7", current_container_id="")
    second = await open_records(nats_url)
    assert await second.store.list_by_status(RUNNING) == listed
    assert await first.store.list_by_status(RUNNING) == listed


async def test_put_replaces_all_keys_of_the_game_and_no_other(
    platform: Platform, open_records: OpenRecords, nats_url: str
) -> None:
    await platform.make()
    await platform.put("a", game_id="game-7")
    await platform.put("b", game_id="game-7")
    await platform.put("game-8", "http://x:1", game_id="another")
    watched = await open_records(nats_url)
    moved = RuntimeRecord("game-7", "", "http://moved:1")
    await watched.store.put([GAME_7, moved, GAME_8])
    another = RuntimeRecord("another", "", "http://x:1")
    assert await watched.store.list_all() == [another, moved, GAME_8]
    await watched.store.put([GAME_8])
    assert await watched.store.list_all() == [another, moved, GAME_8]
    assert await watched.store.remove(["game-8", "game-7"]) == 2
    assert await watched.store.list_all() == [another]


@pytest.mark.parametrize("game_id", ["", "a\0b", "\ud800"])
async def test_an_unreadable_record_is_not_put(open_records: OpenRecords, nats_url: str, game_id: str) -> None:
    store = (await open_records(nats_url)).store
    with pytest.raises(StoreError, match="cannot be put") as refused:
        await store.put([GAME_7, RuntimeRecord(game_id, "", "http://h:1")])
    assert refused.value.permanent
    assert await store.list_all() == []


async def test_a_missing_bucket_is_created_or_refused_by_a_command_that_only_reads(
    platform: Platform, open_records: OpenRecords, nats_url: str
) -> None:
    with pytest.raises(ConfigurationError, match="there is no such bucket: `healthprobe runtimes add`"):
        await open_records(nats_url, create=False)
    assert not await platform.is_there()
    await open_records(nats_url)
    status = await (await platform.kv()).status()
    assert (status.history, status.values, status.ttl) == (1, 0, 0)
    await platform.put("game-7", GAME_7.engine_endpoint, current_container_id="c0ffee")
    store = (await open_records(nats_url, create=False)).store
    assert await store.list_all() == [GAME_7]
    assert await store.remove(["game-7"]) == 1
    with pytest.raises(KeyNotFoundError):
        await (await platform.kv()).get("game-7")
    marker = await platform.jetstream.get_last_msg(f"KV_{platform.bucket}", f"$KV.{platform.bucket}.game-7")
    assert (marker.headers or {})["Nats-TTL"] == "3600s", "nobody has to read it for ever"


async def test_an_existing_bucket_is_left_as_it_is(
    platform: Platform, open_records: OpenRecords, nats_url: str
) -> None:
    await platform.jetstream.add_stream(
        name=f"KV_{platform.bucket}",
        subjects=[f"$KV.{platform.bucket}.>"],
        max_msgs_per_subject=5,
        allow_rollup_hdrs=True,
        deny_delete=True,
    )
    for endpoint in ("http://h:1", "http://h:2", GAME_8.engine_endpoint):
        await platform.put("game-8", endpoint)
    await platform.put("gone")
    await platform.delete("gone")
    watched = await open_records(nats_url)
    assert await watched.store.list_all() == [GAME_8]
    assert (await (await platform.kv()).status()).history == 5
    assert await watched.store.remove(["game-8"]) == 1
    with pytest.raises(KeyNotFoundError):
        await (await platform.kv()).get("game-8")


async def test_replicas_that_one_server_cannot_give_are_refused_at_the_opening(
    open_records: OpenRecords, nats_url: str
) -> None:
    with pytest.raises(ConfigurationError, match="it is no cluster, and keeps one replica only"):
        await open_records(f"{nats_url}&replicas=3")


async def test_many_keys_are_read_without_blocking_the_loop(open_records: OpenRecords, nats_url: str) -> None:
    records = [RuntimeRecord(f"game-{number}", "c0ffee", "http://10.0.0.1:8080") for number in range(20_000)]
    await (await open_records(nats_url)).store.put(records)
    longest = 0.0
    gc.disable()

    async def take_turns() -> None:
        nonlocal longest
        while True:
            begun = time.thread_time()
            await asyncio.sleep(0)
            longest = max(longest, time.thread_time() - begun)

    turns = asyncio.create_task(take_turns())
    try:
        watched = await open_records(nats_url)
        assert len(await watched.store.list_by_status(RUNNING)) == 20_000
    finally:
        gc.enable()
        turns.cancel()
    assert longest < 0.04, "seconds of work between two turns; all of it takes a quarter of a second"
