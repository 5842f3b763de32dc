"""Dead letters near the largest message that a server takes: none of them holds up its relay."""

import pytest
from tests.servers import nats_fixtures
from tests.servers.nats_fixtures import OpenLog

from healthprobe.adapters.nats import JetStreamLog
from healthprobe.ports import DeadLetter
from healthprobe.testing.contracts.samples import FIRST_SECOND, failed
from healthprobe.testing.memory import InMemoryPublisher
from healthprobe.testing.stage import Stage
from healthprobe.worker.relay import Relay

nats_server = nats_fixtures.nats_server
nats_url = nats_fixtures.nats_url
prefix = nats_fixtures.prefix
open_log = nats_fixtures.open_log

LARGE = failed("game-7", 1, container_id="x" * 1_043_000)
"""An event that the log takes, and that leaves room for a part of a long reason in a message of 1 MiB."""

SMALL = failed("game-8", 1)


@pytest.fixture
async def log(nats_url: str, open_log: OpenLog) -> JetStreamLog:
    return await open_log(nats_url)


@pytest.mark.parametrize("reason", ["because " * 1_000, '"' * 8_000, "\0\n\x1b" * 3_000, "нет" * 3_000])
async def test_the_reason_is_cut_where_the_server_would_not_take_it_whole(log: JetStreamLog, reason: str) -> None:
    await log.park(DeadLetter("bus", LARGE, reason, FIRST_SECOND))
    (letter,) = await log.dead_letters(10)
    assert letter.event == LARGE
    assert len(letter.reason) > 100
    assert letter.reason.endswith("…")
    assert await log.request_replay() == 1
    (due,) = await log.dead_letters(10, due_at="bus")
    assert (due.event, due.reason) == (LARGE, letter.reason)


async def test_an_event_that_fills_a_message_is_parked_without_a_reason(log: JetStreamLog) -> None:
    for number in range(0, 1_200, 60):
        large = failed(f"game-{number}", 1, container_id="x" * (1_047_000 + number))
        await log.park(DeadLetter("bus", large, "because", FIRST_SECOND))
    letters = await log.dead_letters(100)
    assert len(letters) == 20
    assert {letter.reason for letter in letters} == {"because", ""}
    assert await log.request_replay() == 20


async def test_a_dead_letter_that_the_server_cannot_take_holds_up_no_other_event(log: JetStreamLog) -> None:
    stage, publisher = Stage(), InMemoryPublisher()
    publisher.unacceptable = {LARGE.id}
    assert await log.append([LARGE, SMALL]) == [LARGE, SMALL]
    log._stream.client._max_payload = 500_000  # as after a restart with another configuration
    relay = Relay(log=log, publisher=publisher, name="bus", logger=stage.logger, telemetry=stage.telemetry)
    await relay.drain(within=10.0)
    assert publisher.delivered == [SMALL]
    assert await log.load_cursor("bus") == 2
    assert await log.dead_letters(10) == []
    assert stage.telemetry.parked == {"bus": 1}
    (line,) = stage.lines
    assert (line["log_level"], line["game_id"], line["sequence"]) == ("error", "game-7", 1)
    assert "raise its max_payload" in line["err"]
    assert line["reason"] == "game-7:1 will never be taken"
