"""Silencing games in a bucket: what others edit at the same time is never lost, and no key lives longer for it."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from tests.servers import nats_fixtures, nats_records_fixtures
from tests.servers.nats_records_fixtures import OpenPlatform, OpenRecords, Platform, Watched

from healthprobe.adapters.nats import records as store_module
from healthprobe.adapters.nats.bucket import Bucket, Entry
from healthprobe.domain.record import RuntimeRecord
from healthprobe.ports import StoreError

nats_server = nats_fixtures.nats_server
nats_url = nats_fixtures.nats_url
prefix = nats_fixtures.prefix
open_records = nats_records_fixtures.open_records
open_platform = nats_records_fixtures.open_platform

FIVE = datetime(2026, 11, 23, 17, tzinfo=UTC)
GAME_7 = RuntimeRecord("game-7", "c1", "http://h:1", probe='{"path": "/ready"}')
GAME_8 = RuntimeRecord("game-8", "c1", "http://h:2")


@pytest.fixture
async def watched(open_records: OpenRecords, nats_url: str) -> Watched:
    watched = await open_records(nats_url)
    await watched.store.put([GAME_7, GAME_8])
    return watched


@pytest.fixture
async def platform(watched: Watched, open_platform: OpenPlatform, nats_url: str) -> Platform:
    assert watched.store is not None
    return await open_platform(nats_url)


async def test_silence_changes_nothing_else_and_returns_the_games_that_exist(watched: Watched) -> None:
    assert await watched.store.silence(["game-7", "game-70", "game-7"], FIVE, "new map") == {"game-7"}
    silenced = replace(GAME_7, silenced_until=FIVE, silenced_why="new map")
    assert await watched.store.list_all() == [silenced, GAME_8], "seen at once by whoever wrote it"
    assert await watched.store.silence(["game-7"], None, "") == {"game-7"}
    assert await watched.store.list_all() == [GAME_7, GAME_8]


async def test_a_concurrent_edit_is_kept(watched: Watched, platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    read = Bucket.entry
    edits = iter(["http://moved:1", "http://moved:2"])

    async def read_before_an_edit(bucket: Bucket, key: str) -> Entry | None:
        entry = await read(bucket, key)
        if (endpoint := next(edits, None)) is not None:
            await platform.put(key, endpoint, current_container_id="c2")
        return entry

    monkeypatch.setattr(Bucket, "entry", read_before_an_edit)
    assert await watched.store.silence(["game-7"], FIVE, "") == {"game-7"}
    await watched.shows(RuntimeRecord("game-7", "c2", "http://moved:2", silenced_until=FIVE), GAME_8)


async def test_a_key_that_is_edited_all_the_time_is_an_error(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_: object) -> None:
        return None

    monkeypatch.setattr(Bucket, "replace", never)
    monkeypatch.setattr(store_module, "_TRIES", 3)
    with pytest.raises(StoreError, match="'game-7' is edited all the time: try again") as told:
        await watched.store.silence(["game-7"], FIVE, "")
    assert not told.value.permanent


async def test_a_game_that_is_deleted_meanwhile_is_not_created_again(
    watched: Watched, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Bucket.entry

    async def read_after_its_end(bucket: Bucket, key: str) -> Entry | None:
        await platform.delete(key)
        return await read(bucket, key)

    monkeypatch.setattr(Bucket, "entry", read_after_its_end)
    assert await watched.store.silence(["game-7"], FIVE, "") == set()
    await watched.shows(GAME_8)


async def test_a_silenced_key_keeps_its_ttl(watched: Watched, platform: Platform) -> None:
    value = json.dumps({"engine_endpoint": "http://h:3"}).encode()
    await (await platform.kv()).create("game-9", value, msg_ttl=2.0)
    await watched.shows(GAME_7, GAME_8, RuntimeRecord("game-9", "", "http://h:3"))
    assert await watched.store.silence(["game-9"], FIVE, "") == {"game-9"}
    message = await platform.jetstream.get_last_msg(f"KV_{platform.bucket}", f"$KV.{platform.bucket}.game-9")
    headers: Mapping[str, str] = message.headers or {}
    assert headers["Nats-TTL"] == "2"


async def test_a_game_under_two_keys_is_silenced_under_both(watched: Watched, platform: Platform) -> None:
    await platform.put("another", "http://h:1", game_id="game-7")
    both = [replace(GAME_7, probe=""), GAME_7]
    await watched.shows(RuntimeRecord("game-7", "", "http://h:1"), *both[1:], GAME_8)
    await watched.store.silence(["game-7"], FIVE, "")
    silenced = [record for record in await watched.store.list_all() if record.silenced_until == FIVE]
    assert [record.game_id for record in silenced] == ["game-7", "game-7"]
