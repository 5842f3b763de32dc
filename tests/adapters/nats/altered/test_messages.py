"""Messages of another program on the subjects of events: none of them stops what is about other games."""

import random
from collections.abc import AsyncIterator

import msgspec
import nats
import pytest
from nats.aio.client import Client
from tests.servers import nats_fixtures
from tests.servers.nats_fixtures import OpenLog

from healthprobe.adapters.nats import JetStreamLog
from healthprobe.adapters.nats.address import NatsAddress
from healthprobe.adapters.nats.connection import JetStream
from healthprobe.domain.event import AlteredEvent, HealthEvent
from healthprobe.domain.incident import incidents
from healthprobe.ports import ContentError, DeadLetter
from healthprobe.testing.contracts.samples import AFTER_ALL_SAMPLES, FIRST_SECOND, failed, history, recovered
from healthprobe.testing.memory import InMemoryPublisher
from healthprobe.worker.relay import Relay

nats_server = nats_fixtures.nats_server
nats_url = nats_fixtures.nats_url
prefix = nats_fixtures.prefix
open_log = nats_fixtures.open_log

FOREIGN = {
    "empty": b"",
    "text": b"hello",
    "not UTF-8": b"\xff\xfe",
    "not UTF-8 in text": b'{"game_id": "game-7\xff"}',
    "an array": b"[]",
    "a number": b"7",
    "another object": b'{"sequence": 1}',
    "too deep": b'{"details": {"a": ' + b"[" * 10_000,
    "another game": msgspec.json.encode(recovered("game-8", 3).as_document()),
    "a later event without details": b'{"game_id": "game-7", "sequence": 9}',
    "a negative sequence": b'{"game_id": "game-7", "sequence": -2}',
    "a sequence of text": b'{"game_id": "game-7", "sequence": "2"}',
}
"""What another program may publish on the subject of game-7, which says nothing of its next event."""


@pytest.fixture
async def log(nats_url: str, open_log: OpenLog) -> JetStreamLog:
    return await open_log(nats_url)


@pytest.fixture
async def other_program(nats_url: str) -> AsyncIterator[Client]:
    client = await nats.connect(nats_url.partition("?")[0])
    yield client
    await client.close()


async def publish(other_program: Client, subject: str, *bodies: bytes) -> None:
    for body in bodies:
        await other_program.jetstream().publish(subject, body)


async def altered_in(log: JetStreamLog) -> list[AlteredEvent]:
    return [entry.event for entry in await log.read(0, 1_000) if isinstance(entry.event, AlteredEvent)]


@pytest.mark.parametrize("body", FOREIGN.values(), ids=FOREIGN)
async def test_a_game_goes_on_from_its_last_readable_event(
    log: JetStreamLog, other_program: Client, body: bytes
) -> None:
    subject = log._streams.of_game("game-7")
    await log.append([failed("game-6", 1), failed("game-7", 1)])
    await publish(other_program, subject, body)
    await log.append([failed("game-8", 1)])
    entries = await log.read(0, 10)
    assert [entry.cursor for entry in entries] == [1, 2, 3, 4]
    (altered,) = await altered_in(log)
    assert entries[2].event == altered
    assert " at 3 in the log" in altered.problem
    assert altered.problem.partition(" was altered and cannot be read: ")[2]
    assert "\n" not in altered.problem

    last = dict(await log.last_events(["game-6", "game-7", "game-8", "game-9"]))
    assert (last.pop("game-6"), last.pop("game-8")) == (failed("game-6", 1), failed("game-8", 1))
    stands = last.pop("game-7")
    assert isinstance(stands, AlteredEvent)
    assert stands.as_document() == failed("game-7", 1).as_document(), "the state is that of the last readable event"
    assert stands.problem == altered.problem
    assert last == {}

    assert await log.append([failed("game-7", 1)]) == [failed("game-7", 1)], "a repeated append is recognized"
    assert await log.append([failed("game-7", 1, container_id="stale"), failed("game-9", 1)]) == [
        stands,
        failed("game-9", 1),
    ]
    assert await log.append([recovered("game-7", 2)]) == [recovered("game-7", 2)]
    assert await log.last_events(["game-7"]) == {"game-7": recovered("game-7", 2)}
    assert await log.append([failed("game-7", 1)]) == [failed("game-7", 1)]
    found = {each.game_id: each.is_open for each in incidents([entry.event for entry in await log.read(0, 10)])}
    assert found["game-6"]
    assert found["game-8"]


@pytest.mark.parametrize("by_claims", [False, True])
async def test_a_game_of_which_nothing_can_be_read_begins_anew(
    nats_url: str, open_log: OpenLog, other_program: Client, *, by_claims: bool
) -> None:
    log = await open_log(nats_url, by_claims=by_claims)
    await log.claim(range(log.shard_count) if by_claims else [])
    await publish(other_program, log._streams.of_game("game-7"), b"hello", b"\xff")
    (stands,) = (await log.last_events(["game-7"])).values()
    assert isinstance(stands, AlteredEvent)
    assert (stands.sequence, stands.event_type.value) == (0, "probe_recovered")
    assert await log.append([recovered("game-7", 2)]) == [stands]
    assert await log.append([failed("game-7", 1)]) == [failed("game-7", 1)]


async def test_an_event_published_again_without_its_details_counts_as_the_next_one(
    log: JetStreamLog, other_program: Client
) -> None:
    bodies = [b'{"game_id": "game-7", "sequence": %d}' % sequence for sequence in (2, 4, 3)]
    await log.append(history("game-7", 1))
    await publish(other_program, log._streams.of_game("game-7"), *bodies, b"hello")
    (stands,) = (await log.last_events(["game-7"])).values()
    assert (stands.sequence, stands.event_type.value) == (3, "probe_failed")
    assert await log.append([recovered("game-7", 4)]) == [recovered("game-7", 4)]


async def test_many_messages_of_another_program_are_looked_past(log: JetStreamLog, other_program: Client) -> None:
    game_ids = [f"game-{number}" for number in range(40)]
    await log.append([failed(game_id, 1) for game_id in game_ids])
    for game_id in game_ids:
        await publish(other_program, log._streams.of_game(game_id), b"hello")
    await publish(other_program, log._streams.of_game("game-7"), *[b"hello"] * 300)
    last = await log.last_events(game_ids)
    assert [last[game_id].as_document() for game_id in game_ids] == [failed(each, 1).as_document() for each in game_ids]
    batch = [recovered(game_id, 2) for game_id in game_ids]
    assert await log.append(batch) == batch
    assert await log.append([failed(game_id, 1) for game_id in game_ids]) == [failed(each, 1) for each in game_ids]


@pytest.mark.parametrize(
    "subject", ["events.0.nobody", "events.x.game-7", "events.7.=_", "events.1.==abc", "events.1.ж"]
)
async def test_a_message_on_a_subject_of_no_game_is_named_and_skipped(
    log: JetStreamLog, other_program: Client, prefix: str, subject: str
) -> None:
    body = msgspec.json.encode(failed("game-7", 1).as_document())
    await log.append(history("game-8", 1))
    await publish(other_program, f"{prefix}.{subject}", body)
    await log.append(history("game-8", 2))
    (altered,) = await altered_in(log)
    assert f"the message at 2 in the log, on {prefix}.{subject} was altered" in altered.problem
    publisher = InMemoryPublisher()
    relay = Relay(log=log, publisher=publisher, name="bus")
    await relay.drain(within=10.0)
    assert publisher.delivered == history("game-8", 2)
    assert await log.load_cursor("bus") == 3


async def test_pruning_keeps_what_a_game_goes_on_from(log: JetStreamLog, other_program: Client) -> None:
    subject = log._streams.of_game("game-7")
    await publish(other_program, subject, b"first")
    await log.append([*history("game-7", 3), *history("game-8", 2)])
    await publish(other_program, subject, b"second", b"third")
    end = await log.end()
    assert await log.prune(AFTER_ALL_SAMPLES, end) == 5
    assert await log.end() == end
    assert (await log.last_events(["game-7"]))["game-7"].as_document() == failed("game-7", 3).as_document()
    assert [entry.event for entry in await log.read(0, 10)][:2] == [failed("game-7", 3), recovered("game-8", 2)]
    assert await log.append([recovered("game-7", 4)]) == [recovered("game-7", 4)]
    assert await log.prune(AFTER_ALL_SAMPLES, await log.end()) == 2
    assert [entry.event for entry in await log.read(0, 10)] == [recovered("game-8", 2), recovered("game-7", 4)]


async def test_random_bytes_on_a_subject_hide_no_other_game(log: JetStreamLog, other_program: Client) -> None:
    chance = random.Random(18)
    subject = log._streams.of_game("game-7")
    good = msgspec.json.encode(failed("game-7", 1).as_document())
    await log.append(history("game-8", 2))
    for _ in range(100):
        body = bytearray(good)
        body[chance.randrange(len(body))] = chance.randrange(256)
        await publish(other_program, subject, chance.choice([bytes(body), chance.randbytes(20)]))
        last = await log.last_events(["game-7", "game-8"])
        assert last["game-8"] == recovered("game-8", 2)
        assert last["game-7"].as_document()
    events = [entry.event for entry in await log.read(0, 1_000)]
    assert len(events) == 102
    assert events[:2] == history("game-8", 2)


async def test_what_a_server_can_never_take_is_an_error_of_its_content(
    log: JetStreamLog, nats_url: str, prefix: str
) -> None:
    large = failed("game-7", 1, container_id="x" * 2_000)
    letter = DeadLetter("bus", failed("game-7", 1, container_id="x" * 1_048_576), "no", FIRST_SECOND)
    with pytest.raises(ContentError, match="takes no message as large as this: raise its max_payload"):
        await log.park(letter)
    greatest = HealthEvent(2**63, "game-7", "", FIRST_SECOND, large.details)
    with pytest.raises(ContentError, match="'game-7:9223372036854775808' has too great a sequence"):
        await log.append([failed("game-8", 1), greatest])
    stream = await JetStream.open(NatsAddress.of_url(nats_url))
    config = (await stream.call(f"STREAM.INFO.{prefix}_events"))["config"]
    await stream.call(f"STREAM.UPDATE.{prefix}_events", {**config, "max_msg_size": 1_500})
    await stream.aclose()
    with pytest.raises(ContentError, match="takes no message as large as this: raise its max_payload"):
        await log.append([large])
    assert await log.append([failed("game-8", 1)]) == [failed("game-8", 1)]
    assert await log.dead_letters(10) == []
