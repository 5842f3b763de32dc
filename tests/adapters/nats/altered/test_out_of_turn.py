"""Events in good form that another program published out of turn: none is delivered, and no game goes on from one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import msgspec
import nats
import pytest
from nats.aio.client import Client
from tests.servers import nats_fixtures
from tests.servers.nats_fixtures import OpenLog

from healthprobe.adapters.nats import JetStreamLog
from healthprobe.domain.event import AlteredEvent, HealthEvent
from healthprobe.testing.contracts.samples import AFTER_ALL_SAMPLES, failed, history, recovered
from healthprobe.testing.memory import InMemoryPublisher
from healthprobe.worker.relay import Relay

nats_server = nats_fixtures.nats_server
nats_url = nats_fixtures.nats_url
prefix = nats_fixtures.prefix
open_log = nats_fixtures.open_log

OUT_OF_TURN = {
    "the last one again": (recovered("game-7", 2), "its sequence is 2, and 3 was next"),
    "an earlier one again": (failed("game-7", 1), "its sequence is 1, and 3 was next"),
    "one too far ahead": (failed("game-7", 9), "its sequence is 9, and 3 was next"),
    "one of the type of the last": (recovered("game-7", 3), "it is a probe_recovered after another"),
}
"""What another program may publish after two events of game-7."""


@pytest.fixture(params=[False, True], ids=["under the last event", "under claims"])
async def log(nats_url: str, open_log: OpenLog, request: pytest.FixtureRequest) -> JetStreamLog:
    log = await open_log(nats_url, by_claims=request.param)
    await log.claim(range(log.shard_count) if request.param else [])
    return log


@pytest.fixture
async def other_program(nats_url: str) -> AsyncIterator[Client]:
    client = await nats.connect(nats_url.partition("?")[0])
    yield client
    await client.close()


async def publish(other_program: Client, log: JetStreamLog, *events: HealthEvent) -> None:
    for event in events:
        body = msgspec.json.encode(event.as_document())
        await other_program.jetstream().publish(log._streams.of_game(event.game_id), body)


async def delivered(log: JetStreamLog) -> Sequence[HealthEvent]:
    publisher = InMemoryPublisher()
    await Relay(log=log, publisher=publisher, name="bus").drain(within=10.0)
    return publisher.delivered


@pytest.mark.parametrize("case", OUT_OF_TURN)
async def test_the_game_goes_on_from_its_own_last_event(
    log: JetStreamLog, other_program: Client, nats_url: str, open_log: OpenLog, case: str
) -> None:
    event, why = OUT_OF_TURN[case]
    await log.append([*history("game-7", 2), failed("game-8", 1)])
    assert list(await log.open_incidents()) == ["game-8"]
    await publish(other_program, log, event)
    stands = (await log.last_events(["game-7"]))["game-7"]
    assert isinstance(stands, AlteredEvent)
    assert stands.as_document() == recovered("game-7", 2).as_document()
    assert stands.problem.endswith(f" was altered and cannot be read: {why}")
    assert " in the log" in stands.problem
    for reader in (log, await open_log(nats_url)):
        assert list(await reader.open_incidents()) == ["game-8"]
    assert await log.append([failed("game-7", 3)]) == [failed("game-7", 3)]
    assert await log.append(history("game-7", 2)) == history("game-7", 2), "a repeated append is recognized"
    assert sorted(each.id for each in await delivered(log)) == ["game-7:1", "game-7:2", "game-7:3", "game-8:1"]


async def test_many_of_them_in_any_order_change_nothing(log: JetStreamLog, other_program: Client) -> None:
    await log.append(history("game-7", 4))
    await publish(other_program, log, *history("game-7", 4), *reversed(history("game-7", 9)[5:]))
    assert await log.append([failed("game-7", 5)]) == [failed("game-7", 5)]
    await publish(other_program, log, *history("game-7", 3))
    assert await log.append([recovered("game-7", 6)]) == [recovered("game-7", 6)]
    assert await delivered(log) == history("game-7", 6)
    await log.prune(AFTER_ALL_SAMPLES, await log.end())
    assert await log.last_events(["game-7"]) == {"game-7": recovered("game-7", 6)}


async def test_the_next_event_of_a_game_counts_whoever_published_it(log: JetStreamLog, other_program: Client) -> None:
    await log.append(history("game-7", 2))
    await publish(other_program, log, failed("game-7", 3), recovered("game-7", 4))
    assert await log.last_events(["game-7"]) == {"game-7": recovered("game-7", 4)}
    assert await log.append([failed("game-7", 5)]) == [failed("game-7", 5)]
    assert await delivered(log) == history("game-7", 5)


async def test_a_log_that_was_copied_without_its_headers_is_read_as_it_is(
    log: JetStreamLog, other_program: Client
) -> None:
    copied = [event for number in range(30) for event in history(f"game-{number}", 4)[number % 3 :]]
    await publish(other_program, log, *copied)
    assert [entry.event for entry in await log.read(0, 1_000)] == copied
    last = await log.last_events([f"game-{number}" for number in range(30)])
    assert {event.id for event in last.values()} == {f"game-{number}:4" for number in range(30)}
    assert await log.append([failed("game-7", 5)]) == [failed("game-7", 5)]
    assert await delivered(log) == [*copied, failed("game-7", 5)]
