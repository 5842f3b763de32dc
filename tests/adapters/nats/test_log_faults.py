"""Servers that die, stand still or lose an answer: what was acknowledged is there, once, and everything goes on."""

import asyncio
import gc
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from random import Random
from typing import TypeVar

import pytest
from tests.servers import nats_fixtures
from tests.servers.nats import NatsCluster, NatsServer
from tests.servers.nats_fixtures import OpenLog
from tests.servers.proxy import CuttingProxy

from healthprobe.adapters.nats.jetstream import JetStream
from healthprobe.adapters.nats.log import JetStreamLog
from healthprobe.domain.event import HealthEvent
from healthprobe.domain.shard import SHARDS
from healthprobe.ports import LogError
from healthprobe.testing.contracts.samples import failed, history, recovered

nats_server = nats_fixtures.nats_server
nats_cluster = nats_fixtures.nats_cluster
nats_url = nats_fixtures.nats_url
nats_cluster_url = nats_fixtures.nats_cluster_url
own_nats = nats_fixtures.own_nats
prefix = nats_fixtures.prefix
open_log = nats_fixtures.open_log

Told = TypeVar("Told")

GAMES = [f"game-{number}" for number in range(40)]
EVENTS_OF_A_GAME = 50
PATIENCE = 60.0


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks waits for a second: what is asked of a server that dies is asked again."""
    monkeypatch.setattr(JetStream.ask, "__defaults__", (1.0,))


@pytest.fixture(scope="module")
def mortal_cluster() -> Iterator[NatsCluster]:
    """Three servers of this module's own, to kill and to pause, whole again after each test."""
    with NatsCluster() as cluster:
        yield cluster


async def at_last(call: Callable[[], Awaitable[Told]]) -> Told:
    """What `call` returns when the log is there: until then it says that trying again may help."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                return await call()
            except LogError as error:
                if error.permanent:
                    raise
                await asyncio.sleep(0.05)


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            if is_so():
                return
            await asyncio.sleep(0.01)


async def events_in(log: JetStreamLog) -> list[HealthEvent]:
    return [entry.event for entry in await at_last(partial(log.read, 0, 100_000))]


@pytest.mark.parametrize(
    ("servers", "by_claims"), [("nats_url", False), ("nats_cluster_url", False), ("nats_cluster_url", True)]
)
async def test_what_entered_without_an_answer_is_recognised(
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


async def test_what_was_acknowledged_outlives_a_killed_server(own_nats: NatsServer, open_log: OpenLog) -> None:
    log = await open_log(own_nats.url())
    acknowledged: list[HealthEvent] = []

    async def write() -> None:
        for event in history("game-7", 100_000):
            acknowledged.extend(filter(None, await log.append([event])))

    writing = asyncio.create_task(write())
    await until(lambda: len(acknowledged) >= 300)
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


@pytest.mark.usefixtures("impatient")
async def test_a_leader_that_is_killed_costs_no_event_and_makes_none_twice(
    mortal_cluster: NatsCluster, prefix: str, open_log: OpenLog
) -> None:
    logs = [await open_log(mortal_cluster.url(f"?prefix={prefix}")) for _ in range(4)]
    acknowledged: dict[str, str] = {}
    writing = asyncio.gather(*(_write(log, f"writer-{number}", acknowledged) for number, log in enumerate(logs)))
    await until(lambda: len(acknowledged) >= 500)
    killed = mortal_cluster.leader_of(f"{prefix}_events")
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


@pytest.mark.usefixtures("impatient")
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # nats-py forgets the socket of a vain attempt
async def test_a_leader_that_stands_still_is_replaced_and_tells_nothing_old_when_it_goes_on(
    mortal_cluster: NatsCluster, prefix: str, open_log: OpenLog
) -> None:
    log = await open_log(mortal_cluster.url(f"?prefix={prefix}"), by_claims=True)
    await log.claim(range(SHARDS))
    await log.append([failed("game-7", 1)])
    paused = mortal_cluster.leader_of(f"{prefix}_events")
    assert paused is not None
    others = [f"127.0.0.1:{node.port}" for node in mortal_cluster.nodes if node is not paused]
    successor = await open_log(f"nats://{','.join(others)}?prefix={prefix}", by_claims=True)
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
    gc.collect()
