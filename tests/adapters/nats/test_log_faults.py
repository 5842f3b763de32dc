"""Servers that die or lose an answer: what was acknowledged is there, once, and everything goes on."""

import asyncio
from collections import Counter
from functools import partial

import pytest
from tests.adapters.nats.lease_fleet import until
from tests.adapters.nats.patience import at_last, events_in
from tests.servers import nats_fixtures
from tests.servers.nats import NatsServer
from tests.servers.nats_fixtures import OpenLog
from tests.servers.proxy import CuttingProxy

from healthprobe.adapters.nats.address import NatsAddress
from healthprobe.adapters.nats.connection import JetStream
from healthprobe.domain.event import HealthEvent
from healthprobe.domain.shard import SHARDS
from healthprobe.ports import LogError
from healthprobe.testing.contracts.samples import failed, history

nats_server = nats_fixtures.nats_server
nats_cluster = nats_fixtures.nats_cluster
nats_url = nats_fixtures.nats_url
nats_cluster_url = nats_fixtures.nats_cluster_url
own_nats = nats_fixtures.own_nats
prefix = nats_fixtures.prefix
open_log = nats_fixtures.open_log


@pytest.mark.parametrize(
    ("servers", "by_claims"), [("nats_url", False), ("nats_cluster_url", False), ("nats_cluster_url", True)]
)
async def test_an_append_whose_answer_was_lost_is_recognised(
    request: pytest.FixtureRequest, prefix: str, open_log: OpenLog, servers: str, *, by_claims: bool
) -> None:
    port = int(request.getfixturevalue(servers).partition("?")[0].rpartition(":")[2])
    batch = [failed("game-8", 1), *history("game-7", 3), failed("game-9", 1)]
    async with CuttingProxy(port) as proxy:
        log = await open_log(f"nats://127.0.0.1:{proxy.port}?prefix={prefix}", by_claims=by_claims)
        if by_claims:
            await log.claim(range(SHARDS))
        proxy.hang_at(b"Nats-Msg-Id")
        appending = asyncio.create_task(log.append(batch))
        await proxy.caught()
        proxy.cut_after(0)
        proxy.pass_on()
        with pytest.raises(
            LogError, match=r"\Athe log at nats://127.0.0.1:\d+: there is no connection[^\n]*\Z"
        ) as loss:
            await appending
        assert not loss.value.permanent
        assert await at_last(partial(log.append, batch)) == batch
        assert await log.append(batch[:1]) == batch[:1]
    assert Counter(await events_in(await open_log(request.getfixturevalue(servers)))) == Counter(batch)


async def test_an_acknowledged_event_survives_a_killed_server(own_nats: NatsServer, open_log: OpenLog) -> None:
    log = await open_log(own_nats.url())
    acknowledged: list[HealthEvent] = []

    async def write() -> None:
        for event in history("game-7", 100_000):
            acknowledged.extend(filter(None, await log.append([event])))

    writing = asyncio.create_task(write())
    await until(lambda: len(acknowledged) >= 300, "there is much to lose")
    own_nats.kill()
    with pytest.raises(LogError):
        await writing
    own_nats.start()
    told = await events_in(log)
    assert told == history("game-7", len(told))
    assert len(acknowledged) <= len(told) <= len(acknowledged) + 1
    again = history("game-7", len(acknowledged) + 1)[-1:]
    assert await at_last(partial(log.append, again)) == again
    assert await events_in(log) == history("game-7", len(acknowledged) + 1)


async def test_a_full_stream_is_reported_as_full_and_takes_the_event_once_there_is_room(
    nats_url: str, prefix: str, open_log: OpenLog
) -> None:
    log = await open_log(nats_url)
    stream = await JetStream.open(NatsAddress.of_url(nats_url))
    config = (await stream.call(f"STREAM.INFO.{prefix}_events"))["config"]
    await stream.call(f"STREAM.UPDATE.{prefix}_events", {**config, "max_bytes": 64, "discard": "new"})
    with pytest.raises(LogError, match=r"a stream is full \(maximum bytes exceeded\): raise its limits") as refusal:
        await log.append([failed("game-7", 1)])
    assert not refusal.value.permanent
    await stream.call(f"STREAM.UPDATE.{prefix}_events", config)
    assert await log.append([failed("game-7", 1)]) == [failed("game-7", 1)]
    await stream.aclose()
