"""Keys that expire or vanish, with a marker or without a word: their games leave."""

import asyncio
import time

import pytest
from tests.servers import nats_fixtures, nats_records_fixtures
from tests.servers.nats_records_fixtures import AT_LAST, OpenPlatform, OpenRecords, Platform, Skipped

from healthprobe.adapters.nats import bucket_watch
from healthprobe.domain.record import RuntimeRecord

nats_server = nats_fixtures.nats_server
nats_url = nats_fixtures.nats_url
prefix = nats_fixtures.prefix
open_records = nats_records_fixtures.open_records
open_platform = nats_records_fixtures.open_platform

VALUE = b'{"engine_endpoint": "http://h:1"}'


@pytest.fixture
async def platform(open_platform: OpenPlatform, nats_url: str) -> Platform:
    return await open_platform(nats_url)


@pytest.fixture
def frequent_audits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Heartbeats drive them."""
    monkeypatch.setattr(bucket_watch, "AUDIT_EVERY", 0.1)
    monkeypatch.setattr(bucket_watch, "HEARTBEAT", 0.2)


@pytest.mark.usefixtures("frequent_audits")
async def test_keys_that_vanish_without_a_marker_are_noticed(
    platform: Platform, open_records: OpenRecords, nats_url: str
) -> None:
    await platform.make()
    watched = await open_records(nats_url)
    await platform.put("game-7")
    await platform.put("game-8")
    await watched.shows_games("game-7", "game-8")
    await platform.jetstream.purge_stream(f"KV_{platform.bucket}", subject=f"$KV.{platform.bucket}.game-7")
    await watched.shows_games("game-8")


@pytest.mark.usefixtures("frequent_audits")
async def test_games_whose_keys_expire_are_gone(platform: Platform, open_records: OpenRecords, nats_url: str) -> None:
    await platform.make(ttl=0.8)
    watched = await open_records(nats_url)
    await platform.put("expires")
    await watched.shows_games("expires")
    deadline = time.monotonic() + AT_LAST
    while "expires" in await watched.endpoints():
        await platform.put("renewed")
        await platform.delete("stopped")
        await asyncio.sleep(0.1)
        assert time.monotonic() < deadline
    assert list(await watched.endpoints()) == ["renewed"]


@pytest.mark.usefixtures("frequent_audits")
async def test_a_key_that_expires_without_a_marker_among_deleted_ones_is_gone(
    platform: Platform, open_records: OpenRecords, nats_url: str
) -> None:
    await platform.make()
    watched = await open_records(nats_url)
    for number in range(3):
        await platform.put(f"stopped-{number}")
        await platform.delete(f"stopped-{number}")
    await (await platform.kv()).create("game-7", VALUE, msg_ttl=1.0)
    await watched.shows_games("game-7")
    await watched.shows_games()


async def test_a_single_key_expires_with_a_marker_in_our_own_bucket(
    platform: Platform, open_records: OpenRecords, nats_url: str
) -> None:
    skipped = Skipped()
    watched = await open_records(nats_url, skipped=skipped)
    await (await platform.kv()).create("game-7", VALUE, msg_ttl=1.0)
    await watched.shows(RuntimeRecord("game-7", "", "http://h:1"))
    await watched.shows()
    assert skipped.told[-1] == (0, ""), "what tells of it is no value"
