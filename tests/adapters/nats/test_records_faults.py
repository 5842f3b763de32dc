"""Servers that die, hang or lose state: no change is missed for good, and no list is out of date."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any

import pytest
from nats.aio.msg import Msg
from tests.servers import nats_fixtures, nats_records_fixtures
from tests.servers.nats import NatsServer
from tests.servers.nats_records_fixtures import OpenPlatform, OpenRecords, Platform, Skipped
from tests.servers.proxy import CuttingProxy
from tests.support.waiting import PATIENCE

from healthprobe.adapters.nats import JetStreamRecords, bucket_watch, record_values
from healthprobe.adapters.nats.address import NatsAddress
from healthprobe.adapters.nats.bucket_watch import Changes
from healthprobe.adapters.nats.connection import JetStream
from healthprobe.domain.record import RuntimeRecord
from healthprobe.ports import ConfigurationError, StoreError

nats_server = nats_fixtures.nats_server
nats_url = nats_fixtures.nats_url
prefix = nats_fixtures.prefix
nats_cluster = nats_fixtures.nats_cluster
nats_cluster_url = nats_fixtures.nats_cluster_url
own_nats = nats_fixtures.own_nats
open_records = nats_records_fixtures.open_records
open_platform = nats_records_fixtures.open_platform

GAME_9 = RuntimeRecord("game-9", "", "http://h:1")


@pytest.fixture
async def platform(open_platform: OpenPlatform, nats_url: str) -> Platform:
    return await open_platform(nats_url)


@pytest.fixture
async def proxy(nats_server: NatsServer) -> AsyncIterator[CuttingProxy]:
    async with CuttingProxy(nats_server.port) as proxy:
        yield proxy


@pytest.fixture
def url_by_proxy(nats_server: NatsServer, prefix: str, proxy: CuttingProxy) -> str:
    return nats_server.url(f"?prefix={prefix}", port=proxy.port)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What we know is too old soon, and silence lasts little longer than a heartbeat."""
    monkeypatch.setattr(bucket_watch, "STALE_AFTER", 0.4)
    monkeypatch.setattr(bucket_watch, "HEARTBEAT", 0.2)
    monkeypatch.setattr(bucket_watch, "SILENCE", 0.5)


@pytest.mark.usefixtures("impatient")
async def test_after_a_killed_server_comes_back_changes_meanwhile_are_known(
    own_nats: NatsServer, open_records: OpenRecords, open_platform: OpenPlatform
) -> None:
    platform = await open_platform(own_nats.url())
    watched = await open_records(own_nats.url())
    await platform.put("game-7")
    await platform.put("game-8")
    await watched.shows_games("game-7", "game-8")
    own_nats.kill()
    assert "check that the servers run" in await watched.complains()
    own_nats.start()
    editor = await open_platform(own_nats.url())
    await editor.delete("game-7")
    await editor.put_at_last("game-9")
    await watched.shows_games("game-8", "game-9")
    await editor.put("game-7")
    await watched.shows_games("game-7", "game-8", "game-9")


@pytest.mark.usefixtures("impatient")
async def test_listeners_are_called_after_an_outage_for_changes_meanwhile(
    platform: Platform,
    proxy: CuttingProxy,
    open_records: OpenRecords,
    url_by_proxy: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(record_values, "_RECORDS_A_TURN", 1)
    watched = await open_records(url_by_proxy)
    await platform.put("game-7")
    await watched.shows_games("game-7")
    proxy.refuse()
    await platform.put("game-8")
    await watched.complains()
    watched.changed.clear()
    await proxy.accept()
    games: set[str] = set()
    async with asyncio.timeout(PATIENCE):
        while games != {"game-7", "game-8"}:
            await watched.changed.wait()
            watched.changed.clear()
            with contextlib.suppress(StoreError):
                games = set(await watched.endpoints())


@pytest.mark.usefixtures("impatient")
async def test_changes_during_an_outage_are_known_afterwards(
    platform: Platform, proxy: CuttingProxy, open_records: OpenRecords, url_by_proxy: str
) -> None:
    watched = await open_records(url_by_proxy)
    await platform.put("game-7")
    await platform.put("game-8")
    await watched.shows_games("game-7", "game-8")
    proxy.refuse()
    await platform.purge("game-7")
    await (await platform.kv()).purge_deletes(olderthan=0)
    await platform.put("game-9")
    complaints = set()
    for _ in range(8):
        complaints.add(await watched.complains())
        await asyncio.sleep(0.05)
    assert len(complaints) == 1, "an outage is one complaint"
    with pytest.raises(StoreError, match="check that the servers run") as refused:
        await watched.store.put([GAME_9])
    assert not refused.value.permanent
    await proxy.accept()
    await watched.shows_games("game-8", "game-9")


@pytest.mark.usefixtures("impatient")
async def test_records_are_stale_on_a_silent_connection(
    platform: Platform, proxy: CuttingProxy, open_records: OpenRecords, url_by_proxy: str
) -> None:
    watched = await open_records(url_by_proxy)
    await platform.put("game-7")
    await watched.shows_games("game-7")
    proxy.hang()
    await platform.put("game-8")
    assert "check that the servers run" in await watched.complains()
    proxy.pass_on()
    await watched.shows_games("game-7", "game-8")


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("later", [["game-8"], []], ids=["one in the middle", "the last one"])
async def test_a_lost_change_is_noticed_and_read_again(
    platform: Platform, open_records: OpenRecords, nats_url: str, monkeypatch: pytest.MonkeyPatch, later: list[str]
) -> None:
    monkeypatch.setattr(bucket_watch, "AUDIT_EVERY", 1e9)
    take = Changes._on_message
    lost: list[str] = []

    async def take_all_but_the_first(self: Changes, message: Msg) -> None:
        if not lost and message.subject.startswith("$KV."):
            lost.append(message.subject)
        else:
            await take(self, message)

    monkeypatch.setattr(Changes, "_on_message", take_all_but_the_first)
    watched = await open_records(nats_url)
    for game_id in ("game-7", *later):
        await platform.put(game_id)
    await watched.shows_games("game-7", *later)
    assert lost


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(("unknown_for", "complaints"), [(3, 0), (1_000, 1)], ids=["a moment", "for ever"])
async def test_a_consumer_that_not_every_server_knows_yet_is_asked_again(
    platform: Platform, nats_url: str, monkeypatch: pytest.MonkeyPatch, unknown_for: int, complaints: int
) -> None:
    ask = Changes._publish
    asked: list[str] = []

    async def ask_too_early(self: Changes, api: str, body: Mapping[str, Any]) -> None:
        with monkeypatch.context() as patched:
            if api == "MSG.NEXT" and len(asked) < unknown_for:
                asked.append(api)
                patched.setattr(self, "_consumer", "not-there-yet")
            await ask(self, api, body)

    monkeypatch.setattr(Changes, "_publish", ask_too_early)
    await platform.make()
    await platform.put("game-7")
    async with aclosing(await JetStream.open(NatsAddress.of_url(nats_url))) as stream:
        opened = await asyncio.gather(JetStreamRecords.open(stream, Skipped()), return_exceptions=True)
        assert len([each for each in opened if isinstance(each, StoreError)]) == complaints
        assert len(asked) >= 3
        for store in opened:
            if isinstance(store, JetStreamRecords):
                assert [record.game_id for record in await store.list_all()] == ["game-7"]
                await store.aclose()


async def test_a_deleted_consumer_is_created_again(
    platform: Platform, open_records: OpenRecords, nats_url: str
) -> None:
    watched = await open_records(nats_url)
    for info in await platform.jetstream.consumers_info(f"KV_{platform.bucket}"):
        await platform.jetstream.delete_consumer(f"KV_{platform.bucket}", info.name)
    await platform.put("game-7")
    await watched.shows_games("game-7")
    await watched.store.aclose()
    await platform.client.flush()
    assert await platform.jetstream.consumers_info(f"KV_{platform.bucket}") == [], "nothing is left behind"


async def test_games_edited_while_the_bucket_is_read_again_stay_listed(
    platform: Platform, open_records: OpenRecords, nats_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = await open_records(nats_url)
    games = [RuntimeRecord(f"game-{number}", "", "http://h:1") for number in range(2 * bucket_watch.BATCH)]
    await watched.store.put(games)
    begin = Changes._create_consumer

    async def begin_as_half_of_them_restart(self: Changes, within: float) -> None:
        await begin(self, within)
        for record in games[: bucket_watch.BATCH]:
            await platform.put(record.game_id, "http://h:2")

    monkeypatch.setattr(Changes, "_create_consumer", begin_as_half_of_them_restart)
    for info in await platform.jetstream.consumers_info(f"KV_{platform.bucket}"):
        await platform.jetstream.delete_consumer(f"KV_{platform.bucket}", info.name)
    sizes = set()
    async with asyncio.timeout(PATIENCE):
        while list((await watched.endpoints()).values()).count("http://h:2") < bucket_watch.BATCH:
            await watched.changed.wait()
            watched.changed.clear()
            sizes.add(len(await watched.endpoints()))
    assert sizes == {len(games)}


@pytest.mark.usefixtures("impatient")
async def test_a_deleted_bucket_is_reported_and_a_new_one_is_read(
    platform: Platform, open_records: OpenRecords, nats_url: str
) -> None:
    watched = await open_records(nats_url)
    await platform.put("game-7")
    await platform.put("game-8")
    await watched.shows_games("game-7", "game-8")
    await platform.jetstream.delete_key_value(platform.bucket)
    assert "there is no such bucket" in await watched.complains()
    await platform.make()
    await platform.put("game-9")
    await watched.shows_games("game-9")


async def test_an_outage_at_the_opening_may_be_retried(proxy: CuttingProxy, url_by_proxy: str) -> None:
    stream = await JetStream.open(NatsAddress.of_url(url_by_proxy))
    try:
        proxy.refuse()
        with pytest.raises(StoreError, match="check that the servers run") as refused:
            await JetStreamRecords.open(stream, Skipped())
        assert not refused.value.permanent
    finally:
        await stream.aclose()


async def test_more_replicas_than_servers_may_be_retried(nats_cluster_url: str, open_records: OpenRecords) -> None:
    with pytest.raises(StoreError, match="too few of its servers are there for so many replicas") as failure:
        await open_records(f"{nats_cluster_url}&replicas=5")
    assert not failure.value.permanent


async def test_a_server_without_jetstream_is_reported(open_records: OpenRecords) -> None:
    server = NatsServer()
    file = server.folder / "server.conf"
    file.write_text(file.read_text().partition("jetstream")[0])
    with server, pytest.raises(ConfigurationError, match="runs without JetStream: start it with jetstream"):
        await open_records(server.url())


async def test_a_full_bucket_refuses_a_record_and_says_that_it_is_full(
    nats_url: str, prefix: str, open_records: OpenRecords
) -> None:
    watched = await open_records(nats_url)
    stream = await JetStream.open(NatsAddress.of_url(nats_url))
    bucket = f"KV_{prefix}_runtime_records"
    config = (await stream.call(f"STREAM.INFO.{bucket}"))["config"]
    await stream.call(f"STREAM.UPDATE.{bucket}", {**config, "max_bytes": 64})
    with pytest.raises(StoreError, match="the bucket is full: raise its limits") as refusal:
        await watched.store.put([GAME_9])
    assert refusal.value.permanent
    await stream.aclose()
