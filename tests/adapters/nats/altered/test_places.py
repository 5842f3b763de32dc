"""Cursors and dead letters that another program altered: none of them stops what is about other relays and events."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import msgspec
import nats
import pytest
from nats.aio.client import Client
from tests.servers import nats_fixtures
from tests.servers.nats_fixtures import OpenLog

from healthprobe.adapters.nats import JetStreamLog
from healthprobe.domain.event import AlteredEvent, HealthEvent
from healthprobe.ports import ContentError, DeadLetter
from healthprobe.testing.contracts.samples import FIRST_SECOND, failed, history
from healthprobe.testing.memory import InMemoryPublisher
from healthprobe.worker.relay import Relay

nats_server = nats_fixtures.nats_server
nats_url = nats_fixtures.nats_url
prefix = nats_fixtures.prefix
open_log = nats_fixtures.open_log

ODD_CURSORS = [
    b"",
    b"17",
    b"\xff",
    b'{"x": ' + b"[" * 10_000,
    b'{"name": "bus", "cursor": -7}',
    b'{"name": "bus", "cursor": 2.5}',
    b'{"name": "bus", "cursor": true}',
    b'{"name": "bus", "cursor": 9223372036854775807}',
    b'{"name": "bus", "cursor": 18446744073709551615}',
    b'{"name": "\xff", "cursor": 2}',
    b'{"name": "file", "cursor": 2}',
]


@pytest.fixture
async def log(nats_url: str, open_log: OpenLog) -> JetStreamLog:
    return await open_log(nats_url)


@pytest.fixture
async def other_program(nats_url: str) -> AsyncIterator[Client]:
    client = await nats.connect(nats_url.partition("?")[0])
    yield client
    await client.close()


async def delivered(log: JetStreamLog, name: str) -> list[HealthEvent]:
    publisher = InMemoryPublisher()
    await Relay(log=log, publisher=publisher, name=name).drain(within=10.0)
    return publisher.delivered


@pytest.mark.parametrize("body", ODD_CURSORS)
async def test_a_cursor_that_was_altered_is_named_and_sends_all_again_rather_than_nothing(
    log: JetStreamLog, other_program: Client, body: bytes
) -> None:
    events = history("game-7", 4)
    await log.append(events)
    await log.save_cursor("bus", 2)
    await log.save_cursor("file", 3)
    await other_program.jetstream().publish(log._streams.of_cursor("bus"), body)
    if b"9223372036854775807" not in body:  # this one is beyond the end of the log, as its relay finds
        with pytest.raises(ContentError, match="the cursor of bus in the log was altered"):
            await log.load_cursor("bus")
        assert await log.all_cursors() == {"bus": 0, "file": 3}, "nothing is pruned that may have to be sent again"
    assert await delivered(log, "file") == events[3:]
    assert await delivered(log, "bus") == events
    assert await log.all_cursors() == {"bus": 4, "file": 4}


async def test_a_cursor_that_is_altered_under_a_running_relay_is_replaced_by_its_next_one(
    log: JetStreamLog, other_program: Client
) -> None:
    name = "webhook " + "x" * 300
    await log.save_cursor(name, 2)
    assert await log.all_cursors() == {name: 2}
    await other_program.jetstream().publish(log._streams.of_cursor(name), b"17")
    assert list((await log.all_cursors()).values()) == [0], "its name is not known any more"
    await log.save_cursor(name, 3)
    assert await log.load_cursor(name) == 3
    assert await log.all_cursors() == {name: 3}


@pytest.fixture
async def letters(log: JetStreamLog) -> list[DeadLetter]:
    """Three letters of the bus, in the log."""
    letters = [DeadLetter("bus", failed(f"game-{number}", 1), "too large", FIRST_SECOND) for number in (7, 8, 9)]
    for letter in letters:
        await log.park(letter)
    return letters


def document(**changes: Any) -> bytes:
    """Returns the letter about game-8 with some fields changed."""
    event = failed("game-8", 1).as_document()
    instant = "2026-11-23T17:00:00.123456Z"
    fields = {"publisher": "bus", "event": event, "reason": "too large", "parked_at": instant, "due": False, "first": 2}
    return msgspec.json.encode(fields | changes)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b'{"event": ' + b"[" * 10_000,
        document(event=None),
        document(event={"sequence": 1}),
        document(event=failed("game-9", 1).as_document(), due=True),
        document(event={**failed("game-8", 1).as_document(), "event_type": "x"}, due=True),
        document(publisher="file"),
        document(publisher=7),
    ],
)
async def test_a_dead_letter_that_was_altered_is_not_sent_and_the_others_are_sent_again(
    log: JetStreamLog, other_program: Client, letters: list[DeadLetter], body: bytes
) -> None:
    await other_program.jetstream().publish(log._streams.of_letter("bus", failed("game-8", 1)), body)
    found = await log.dead_letters(10)
    assert [letter for letter in found if not isinstance(letter.event, AlteredEvent)] == [letters[0], letters[2]]
    (altered,) = (letter.event for letter in found if isinstance(letter.event, AlteredEvent))
    assert altered.problem.startswith("the event game-8:1 among the dead letters for bus was altered and cannot be ")
    assert await log.request_replay() == 2
    assert await delivered(log, "bus") == [letters[0].event, letters[2].event]
    assert await delivered(log, "bus") == []
    await log.park(letters[1])
    assert await log.dead_letters(10) == [letters[1]]


@pytest.mark.parametrize(
    ("changes", "read"),
    [
        ({"parked_at": "x"}, {"parked_at": failed("game-8", 1).occurred_at}),
        ({"parked_at": None}, {"parked_at": failed("game-8", 1).occurred_at}),
        ({"reason": 7}, {"reason": "7"}),
        ({"due": 7}, {"due": True}),
        ({"first": "x"}, {}),
        ({"first": -1}, {}),
    ],
)
async def test_a_dead_letter_of_which_something_else_was_altered_can_still_be_sent_again(
    log: JetStreamLog,
    other_program: Client,
    letters: list[DeadLetter],
    changes: dict[str, Any],
    read: dict[str, Any],
) -> None:
    await other_program.jetstream().publish(log._streams.of_letter("bus", letters[1].event), document(**changes))
    found = await log.dead_letters(10)
    assert sorted(found, key=lambda letter: letter.event.id) == [letters[0], replace(letters[1], **read), letters[2]]
    assert await log.request_replay() == 3
    assert {event.id for event in await delivered(log, "bus")} == {letter.event.id for letter in letters}
