"""Dead letters: an event that a publisher refuses for good is parked with its reason, and sent again when asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from healthprobe.domain.event import HealthEvent
from healthprobe.ports import ContentError, DeadLetter, PublishError
from healthprobe.testing.contracts.samples import FIRST_SECOND, history
from healthprobe.testing.memory import InMemoryLog, InMemoryPublisher
from healthprobe.testing.stage import Stage, run_for
from healthprobe.worker.relay import BATCH, Relay


async def test_an_event_that_will_never_be_taken_is_parked_and_the_next_has_its_turn(
    log: InMemoryLog, publisher: InMemoryPublisher
) -> None:
    stage = Stage()
    publisher.unacceptable = {"a:3"}
    relay = Relay(
        log=log,
        publisher=publisher,
        name="bus",
        logger=stage.logger,
        telemetry=stage.telemetry,
        clock=stage.clock.now,
    )
    await run_for(10.0, relay.run())
    assert publisher.delivered_ids == ["a:1", "a:2", "a:4"]
    assert log.cursors == {"bus": 4}
    (letter,) = log.letters.values()
    assert (letter.publisher, letter.event.id, letter.reason) == ("bus", "a:3", "a:3 will never be taken")
    assert (letter.parked_at, letter.due) == (stage.clock.now().replace(second=0), False)
    assert stage.telemetry.parked == {"bus": 1}
    (line,) = stage.lines
    assert (line["log_level"], line["publisher"], line["err"]) == ("warning", "bus", "a:3 will never be taken")
    assert "healthprobe events --dead" in line["event"]


async def test_a_publisher_that_refuses_everything_parks_everything_with_one_warning_a_minute(
    publisher: InMemoryPublisher,
) -> None:
    stage, log = Stage(), InMemoryLog(*history("a", BATCH + 100))
    publisher.unacceptable = {event.id for event in log.events}
    await run_for(5.0, Relay(log=log, publisher=publisher, name="bus", logger=stage.logger).run())
    assert publisher.delivered == []
    assert [letter.event for letter in log.letters.values()] == log.events
    assert log.cursors == {"bus": BATCH + 100}
    assert len(stage.lines) == 1


async def test_what_was_parked_is_not_sent_again_unasked(log: InMemoryLog, publisher: InMemoryPublisher) -> None:
    publisher.unacceptable = {"a:3"}
    await run_for(10.0, Relay(log=log, publisher=publisher, name="bus").run())
    publisher.unacceptable = set()
    await run_for(10.0, Relay(log=log, publisher=publisher, name="bus").run())
    assert "a:3" not in publisher.delivered_ids


async def test_what_is_asked_for_again_is_delivered_by_the_relay_that_runs_and_forgotten(
    log: InMemoryLog, publisher: InMemoryPublisher
) -> None:
    publisher.unacceptable = {"a:1", "a:3"}
    running = asyncio.ensure_future(run_for(30.0, Relay(log=log, publisher=publisher, name="bus").run()))
    await asyncio.sleep(5.0)
    publisher.unacceptable = set()
    assert await log.request_replay() == 2
    await asyncio.sleep(1.5)
    assert publisher.delivered_ids == ["a:2", "a:4", "a:1", "a:3"]
    assert log.letters == {}
    await running
    assert len(publisher.delivered_ids) == 4


async def test_what_is_refused_again_stays_parked_with_the_new_reason_and_waits_to_be_asked_for(
    log: InMemoryLog,
) -> None:
    class EverNewReasons(InMemoryPublisher):
        async def publish(self, events: Sequence[HealthEvent]) -> None:
            try:
                await super().publish(events)
            except Exception as error:
                error.args = (f"refusal number {len(self.asked_at)}",)
                raise

    publisher = EverNewReasons()
    publisher.unacceptable = {"a:4"}
    running = asyncio.ensure_future(run_for(100.0, Relay(log=log, publisher=publisher, name="bus").run()))
    await asyncio.sleep(5.0)
    await log.request_replay()
    await running
    (letter,) = log.letters.values()
    assert (letter.reason, letter.due) == ("refusal number 2", False)
    assert len(publisher.asked_at) == 2


async def test_a_publisher_that_is_down_keeps_what_was_asked_for_until_it_is_back(
    log: InMemoryLog, publisher: InMemoryPublisher
) -> None:
    publisher.unacceptable = {"a:3"}
    await run_for(1.0, Relay(log=log, publisher=publisher, name="bus").run())
    publisher.unacceptable = set()
    await log.request_replay()
    publisher.unavailable = True
    running = asyncio.ensure_future(run_for(100.0, Relay(log=log, publisher=publisher, name="bus").run()))
    await asyncio.sleep(50.0)
    assert [letter.due for letter in log.letters.values()] == [True]
    publisher.unavailable = False
    await running
    assert publisher.delivered_ids[-1] == "a:3"
    assert log.letters == {}


async def test_each_publisher_gets_again_what_it_refused_itself(log: InMemoryLog) -> None:
    picky, easy = InMemoryPublisher(), InMemoryPublisher()
    picky.unacceptable = {"a:2"}
    relays = [Relay(log=log, publisher=picky, name="picky"), Relay(log=log, publisher=easy, name="easy")]
    running = asyncio.gather(*(run_for(20.0, relay.run()) for relay in relays))
    await asyncio.sleep(5.0)
    picky.unacceptable = set()
    await log.request_replay()
    await running
    assert picky.delivered_ids == ["a:1", "a:3", "a:4", "a:2"]
    assert easy.delivered_ids == ["a:1", "a:2", "a:3", "a:4"]


async def test_a_log_that_is_unavailable_while_an_event_is_parked_loses_nothing(
    log: InMemoryLog, publisher: InMemoryPublisher
) -> None:
    class TakesTheLogAway(InMemoryPublisher):
        async def pass_switches(self) -> None:
            log.unavailable = len(self.asked_at) == 1

    publisher = TakesTheLogAway()
    publisher.unacceptable = {"a:1"}
    running = asyncio.ensure_future(run_for(100.0, Relay(log=log, publisher=publisher, name="bus").run()))
    await asyncio.sleep(1.0)
    assert log.letters == {}
    log.unavailable = False
    await running
    assert [letter.event.id for letter in log.letters.values()] == ["a:1"]
    assert publisher.delivered_ids == ["a:2", "a:3", "a:4"]


class NoRoom(InMemoryLog):
    """A log that cannot hold the dead letter of `a:3`."""

    async def park(self, letter: DeadLetter) -> None:
        if letter.event.id == "a:3":
            raise ContentError("no room for it")
        await super().park(letter)


async def test_a_dead_letter_that_the_log_cannot_hold_is_named_and_the_next_event_has_its_turn(
    publisher: InMemoryPublisher,
) -> None:
    stage, log = Stage(), NoRoom(*history("a", 4))
    publisher.unacceptable = {"a:2", "a:3"}
    await run_for(60.0, Relay(log=log, publisher=publisher, name="bus", logger=stage.logger).run())
    assert publisher.delivered_ids == ["a:1", "a:4"]
    assert log.cursors == {"bus": 4}
    assert [letter.event.id for letter in log.letters.values()] == ["a:2"]
    (line,) = (line for line in stage.lines if line["log_level"] == "error")
    assert line["event"] == "event refused for good, and the log cannot hold its dead letter: not delivered"
    assert (line["game_id"], line["sequence"], line["err"]) == ("a", 3, "no room for it")


async def test_a_letter_that_cannot_be_parked_again_is_tried_once_and_holds_up_no_other(
    publisher: InMemoryPublisher,
) -> None:
    log = NoRoom(*history("a", 4))
    for event in log.events[1:3]:
        await InMemoryLog.park(log, DeadLetter("bus", event, "no", FIRST_SECOND, due=True))
    await log.save_cursor("bus", 4)
    publisher.unacceptable = {"a:3"}
    await run_for(60.0, Relay(log=log, publisher=publisher, name="bus").run())
    assert publisher.delivered_ids == ["a:2"]
    assert [(letter.event.id, letter.due) for letter in log.letters.values()] == [("a:3", True)]
    assert len(publisher.asked_at) == 2


@pytest.mark.parametrize("reason", ["nul \0", "half \ud83c", "two\nlines", "x" * 1_000_000], ids=len)
async def test_a_reason_is_one_line_that_every_log_can_hold(log: InMemoryLog, reason: str) -> None:
    class Refuses(InMemoryPublisher):
        async def publish(self, events: Sequence[HealthEvent]) -> None:
            raise PublishError(reason, permanent=True)

    await run_for(5.0, Relay(log=log, publisher=Refuses(), name="bus").run())
    for letter in log.letters.values():
        assert letter.reason.isprintable()
        assert len(letter.reason) <= 1024
        assert letter.reason.encode()
    assert len(log.letters) == 4
