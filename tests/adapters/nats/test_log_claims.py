"""A shard is its last claimant's: what earlier ones send stays out, however late it comes and however well it fits."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest
from tests.servers import nats_fixtures
from tests.servers.nats_fixtures import OpenLog
from tests.servers.proxy import CuttingProxy

from healthprobe.adapters.nats.connection import Request, Unanswered
from healthprobe.adapters.nats.stream_leader import Ack, Message, StreamLeader
from healthprobe.domain.event import HealthEvent
from healthprobe.domain.shard import SHARDS, shard_of
from healthprobe.ports import LogError
from healthprobe.testing.contracts import HealthEventLogContract
from healthprobe.testing.contracts.samples import AFTER_ALL_SAMPLES, failed, history, recovered

nats_server = nats_fixtures.nats_server
nats_cluster = nats_fixtures.nats_cluster
nats_url = nats_fixtures.nats_url
nats_cluster_url = nats_fixtures.nats_cluster_url
prefix = nats_fixtures.prefix
open_log = nats_fixtures.open_log

GAME = "game-7"
SHARD = shard_of(GAME)


@pytest.fixture(params=["one server", "three servers"])
def url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue("nats_url" if request.param == "one server" else "nats_cluster_url"))


@pytest.fixture
def port(url: str) -> int:
    """Of one of those servers."""
    return int(url.partition("?")[0].rpartition(":")[2])


async def test_a_message_under_an_earlier_claim_is_refused_however_late_it_comes(
    url: str, port: int, prefix: str, open_log: OpenLog
) -> None:
    async with CuttingProxy(port) as proxy:
        early = await open_log(f"nats://127.0.0.1:{proxy.port}?prefix={prefix}", by_claims=True)
        assert await early.claim([SHARD]) == {SHARD}
        await early.append([failed(GAME, 1)])
        proxy.hang_at(b"Nats-Msg-Id")
        appending = asyncio.create_task(early.append([recovered(GAME, 2)]))
        await proxy.caught()
        later = await open_log(url, by_claims=True)
        assert await later.claim([SHARD]) == {SHARD}
        assert await later.last_events([GAME]) == {GAME: failed(GAME, 1)}
        proxy.pass_on()
        assert await appending == [failed(GAME, 1)]
        assert await later.append([recovered(GAME, 2, container_id="new")]) == [recovered(GAME, 2, container_id="new")]
    assert [entry.event.container_id for entry in await later.read(0, 10)] == ["c0ffee", "new"]


async def test_a_log_that_lost_a_shard_returns_the_last_event_until_it_claims(url: str, open_log: OpenLog) -> None:
    first, second = await open_log(url, by_claims=True), await open_log(url, by_claims=True)
    await first.claim([SHARD])
    await second.claim([SHARD])
    assert first.fencing_token(SHARD) is not None
    assert second.fencing_token(SHARD) > first.fencing_token(SHARD)  # type: ignore[operator]
    await second.append([failed(GAME, 1)])
    for _ in range(2):
        assert await first.append([failed(GAME, 1, container_id="late")]) == [failed(GAME, 1)]
        assert await first.append([recovered(GAME, 2)]) == [failed(GAME, 1)]
    await first.claim([SHARD])
    assert await first.append([recovered(GAME, 2)]) == [recovered(GAME, 2)]
    assert await second.append([failed(GAME, 3)]) == [recovered(GAME, 2)]


async def test_a_log_by_claims_appends_nothing_to_unclaimed_shards(nats_url: str, open_log: OpenLog) -> None:
    log, other = await open_log(nats_url, by_claims=True), await open_log(nats_url)
    assert await log.append([failed(GAME, 1)]) == [None]
    await log.claim(set(range(SHARDS)) - {SHARD})
    await other.append([failed(GAME, 1)])
    assert await log.append([recovered(GAME, 2), failed("game-8", 1)]) == [failed(GAME, 1), failed("game-8", 1)]
    await log.claim([SHARD])
    assert await log.append([recovered(GAME, 2)]) == [recovered(GAME, 2)]
    log.disclaim([SHARD])
    assert log.fencing_token(SHARD) is None
    assert await log.append([failed(GAME, 3)]) == [recovered(GAME, 2)]


async def test_of_logs_that_claim_and_append_at_once_one_appends_each_event(url: str, open_log: OpenLog) -> None:
    logs = [await open_log(url, by_claims=True) for _ in range(4)]
    for sequence in range(1, 21):
        events = [failed(GAME, sequence, container_id=f"writer-{number}") for number in range(4)]

        async def claim_and_append(number: int, events: list[HealthEvent] = events) -> bool:
            await logs[number].claim([SHARD])
            (stands,) = await logs[number].append([events[number]])
            return stands == events[number]

        entered = sum(await asyncio.gather(*map(claim_and_append, range(4))))
        assert entered <= 1
        if not entered:
            await logs[0].claim([SHARD])
            await logs[0].append(events[:1])
    assert [entry.event.sequence for entry in await logs[0].read(0, 100)] == list(range(1, 21))


@pytest.mark.parametrize("end", ["no answer", "given up"])
async def test_our_own_late_message_is_refused_before_we_decide_again(
    url: str, open_log: OpenLog, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    log, network = await open_log(url, by_claims=True), await open_log(url)
    await log.claim([SHARD])
    held_up: list[Request] = []
    sent = asyncio.Event()

    async def hold_up(requests: Sequence[Request]) -> list[Ack]:
        held_up.extend(requests)
        sent.set()
        if end == "given up":
            await asyncio.Event().wait()
        raise Unanswered(end)

    with monkeypatch.context() as patch:
        patch.setattr(log._leader, "write", hold_up)
        appending = asyncio.create_task(log.append([failed(GAME, 1)]))
        await sent.wait()
        if end == "given up":
            appending.cancel()
        with pytest.raises((asyncio.CancelledError, LogError)):
            await appending
    anew = replace(failed(GAME, 1), occurred_at=AFTER_ALL_SAMPLES)
    assert await log.append([anew]) == [anew]
    assert held_up
    assert all(ack.is_rejected for ack in await network._leader.write(held_up))
    assert [entry.event for entry in await log.read(0, 10)] == [anew]


async def test_the_stream_keeps_one_claim_for_each_shard(nats_url: str, open_log: OpenLog) -> None:
    log = await open_log(nats_url, by_claims=True)
    for _ in range(3):
        await log.claim(range(SHARDS))
    standing = await log._leader.last([log._streams.of_claim(shard) for shard in range(SHARDS)])
    assert [message and message.seq for message in standing] == [log.fencing_token(shard) for shard in range(SHARDS)]
    assert len(await log._leader.read(0, 10_000)) == SHARDS


async def test_a_claim_at_the_end_of_the_stream_is_no_entry(nats_url: str, open_log: OpenLog) -> None:
    log = await open_log(nats_url, by_claims=True)
    await log.claim(range(SHARDS))
    assert (await log.end(), await log.read(0, 10)) == (0, [])
    await log.append(history(GAME, 3))
    end = await log.end()
    await log.claim(range(SHARDS))
    assert await log.end() == end == (await log.read(0, 10))[-1].cursor
    assert await log.read(end, 10) == []


@pytest.mark.parametrize("events", [0, 1, 300])
async def test_the_last_entry_before_many_claims_is_found_in_few_requests(
    nats_url: str, open_log: OpenLog, monkeypatch: pytest.MonkeyPatch, events: int
) -> None:
    log = await open_log(nats_url, by_claims=True)
    await log.claim(range(SHARDS))
    await log.append([failed(f"game-{number}", 1) for number in range(events)])
    last = StreamLeader.last
    asked: list[str] = []

    async def last_of(self: StreamLeader, subjects: Sequence[str]) -> list[Message | None]:
        asked.extend(subjects)
        return await last(self, subjects)

    monkeypatch.setattr(StreamLeader, "last", last_of)
    for claimed in (0, 1, 7, 100, SHARDS):
        await log.claim(range(claimed))
        asked.clear()
        assert await log.end() == (SHARDS + events if events else 0)
        assert asked == [">"] if events else asked[0] == ">"


async def test_two_logs_without_claims_share_shards_that_a_fleet_has_claimed(nats_url: str, open_log: OpenLog) -> None:
    fleet = await open_log(nats_url, by_claims=True)
    await fleet.claim(range(SHARDS))
    log, rival = await open_log(nats_url), await open_log(nats_url)
    await HealthEventLogContract().test_a_stale_writer_gets_the_event_that_stands(log, rival)
    assert await fleet.append([failed(GAME, 3)]) == [recovered(GAME, 2)]


async def test_two_logs_without_claims_append_at_once_where_a_fleet_has_claimed(url: str, open_log: OpenLog) -> None:
    fleet = await open_log(url, by_claims=True)
    await fleet.claim(range(SHARDS))
    log, rival = await open_log(url), await open_log(url)
    await HealthEventLogContract().test_concurrent_writers_leave_no_gap_and_no_duplicate(log, rival)
