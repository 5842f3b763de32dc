"""The relay: what the log holds reaches the publisher, in order, and once where nothing breaks."""

from __future__ import annotations

import asyncio

import pytest

from healthprobe.domain.event import altered_event
from healthprobe.domain.outcome import HEALTHY
from healthprobe.ports import DeadLetter
from healthprobe.testing.contracts.samples import history
from healthprobe.testing.memory import InMemoryLog, InMemoryPublisher
from healthprobe.testing.prober import UNAVAILABLE
from healthprobe.testing.stage import Stage, run_for, ticks
from healthprobe.worker.relay import Relay
from healthprobe.worker.worker import Worker


async def test_it_delivers_what_the_log_holds_in_order_and_remembers_in_the_log_how_far_it_got(
    log: InMemoryLog, publisher: InMemoryPublisher
) -> None:
    await run_for(0.5, Relay(log=log, publisher=publisher, name="stdout").run())
    assert publisher.delivered == log.events
    assert log.cursors == {"stdout": 4}


async def test_it_goes_on_from_its_cursor_and_delivers_nothing_twice(
    log: InMemoryLog, publisher: InMemoryPublisher
) -> None:
    await run_for(0.5, Relay(log=log, publisher=publisher, name="stdout").run())
    log.write(*history("b", 2))
    await run_for(0.5, Relay(log=log, publisher=publisher, name="stdout").run())
    assert publisher.delivered == log.events
    assert len(publisher.asked_at) == 2


async def test_each_publisher_has_a_cursor_of_its_own(log: InMemoryLog) -> None:
    first, second = InMemoryPublisher(), InMemoryPublisher()
    await run_for(0.5, Relay(log=log, publisher=first, name="first").run())
    log.write(*history("b", 1))
    await run_for(0.5, Relay(log=log, publisher=second, name="second").run())
    assert (len(first.delivered), len(second.delivered)) == (4, 5)
    assert log.cursors == {"first": 4, "second": 5}


async def test_a_wake_delivers_at_once(log: InMemoryLog, publisher: InMemoryPublisher) -> None:
    relay = Relay(log=log, publisher=publisher, name="stdout", poll_interval=3600.0)
    running = asyncio.ensure_future(run_for(100.0, relay.run()))
    await asyncio.sleep(10.0)
    log.write(*history("b", 1))
    relay.wake()
    await asyncio.sleep(0.001)
    assert publisher.delivered_ids[-1] == "b:1"
    running.cancel()


async def test_one_that_is_woken_at_the_moment_of_its_end_ends(log: InMemoryLog, publisher: InMemoryPublisher) -> None:
    relay = Relay(log=log, publisher=publisher, name="bus", poll_interval=600.0)
    running = asyncio.ensure_future(relay.run())
    await asyncio.sleep(10.0)
    relay.wake()
    running.cancel()
    await asyncio.wait({running}, timeout=1.0)
    assert running.cancelled()


async def test_what_others_wrote_is_found_within_a_poll_interval(
    log: InMemoryLog, publisher: InMemoryPublisher
) -> None:
    running = asyncio.ensure_future(run_for(100.0, Relay(log=log, publisher=publisher, name="stdout").run()))
    await asyncio.sleep(10.5)
    log.write(*history("b", 1))
    await asyncio.sleep(1.01)
    assert publisher.delivered_ids[-1] == "b:1"
    running.cancel()


async def test_more_than_one_delivery_holds_are_all_delivered_in_order(publisher: InMemoryPublisher) -> None:
    log = InMemoryLog(*history("a", 1234))
    await run_for(0.5, Relay(log=log, publisher=publisher, name="stdout").run())
    assert publisher.delivered == log.events
    assert len(publisher.asked_at) > 1


class TestDraining:
    async def test_delivers_what_the_log_holds_now_without_a_run(
        self, log: InMemoryLog, publisher: InMemoryPublisher
    ) -> None:
        await Relay(log=log, publisher=publisher, name="bus").drain(within=1.0)
        assert publisher.delivered == log.events
        assert log.cursors == {"bus": 4}

    async def test_follows_a_run_that_was_cancelled_and_repeats_nothing(
        self, log: InMemoryLog, publisher: InMemoryPublisher
    ) -> None:
        relay = Relay(log=log, publisher=publisher, name="bus")
        await run_for(1.5, relay.run())
        log.write(*history("b", 1))
        await relay.drain(within=1.0)
        assert publisher.delivered == log.events

    async def test_gives_up_in_time_where_the_publisher_hangs(
        self, log: InMemoryLog, publisher: InMemoryPublisher
    ) -> None:
        publisher.delay = 3600.0
        await Relay(log=log, publisher=publisher, name="bus").drain(within=1.5)
        assert asyncio.get_running_loop().time() == pytest.approx(1.5)
        assert log.cursors == {"bus": 0}

    async def test_gives_up_without_raising_where_the_publisher_is_down(
        self, log: InMemoryLog, publisher: InMemoryPublisher
    ) -> None:
        publisher.unavailable = True
        await Relay(log=log, publisher=publisher, name="bus").drain(within=1.5)
        assert publisher.delivered == []
        assert asyncio.get_running_loop().time() <= 1.5

    async def test_ends_though_a_run_that_hangs_holds_the_publisher(
        self, log: InMemoryLog, publisher: InMemoryPublisher
    ) -> None:
        publisher.delay = 3600.0
        relay = Relay(log=log, publisher=publisher, name="bus")
        running = asyncio.ensure_future(run_for(5.0, relay.run()))
        await asyncio.sleep(1.0)
        await relay.drain(within=1.5)
        assert asyncio.get_running_loop().time() == pytest.approx(2.5)
        running.cancel()


async def test_from_probe_to_publisher_every_transition_arrives_once_and_in_order(publisher: InMemoryPublisher) -> None:
    stage = Stage(a=[UNAVAILABLE] * 5 + [HEALTHY] * 2 + [UNAVAILABLE] * 3, b=[HEALTHY] * 2 + [UNAVAILABLE] * 8)
    relay = Relay(log=stage.log, publisher=publisher, name="bus")
    worker = Worker(**stage.arguments(on_commit=relay.wake))
    running = asyncio.ensure_future(relay.run())
    await ticks(worker, 10)
    await asyncio.sleep(0.01)
    running.cancel()
    assert publisher.delivered == stage.log.events
    assert publisher.delivered_ids == ["a:1", "b:1", "a:2", "a:3"]


async def test_a_cursor_beyond_the_end_of_the_log_sends_all_rather_than_nothing_for_long(
    publisher: InMemoryPublisher,
) -> None:
    """As where somebody has emptied the table of events, or restored it from a backup."""
    log, stage = InMemoryLog(*history("a", 2)), Stage()
    log.cursors = {"bus": 500, "file": 2}
    await run_for(0.5, Relay(log=log, publisher=publisher, name="bus", logger=stage.logger).run())
    assert publisher.delivered == log.events
    assert log.cursors == {"bus": 2, "file": 2}
    (line,) = stage.lines_of("every event of the log is sent again")
    assert line["err"] == "the cursor is 500, and the log ends at 2"


async def test_an_altered_event_is_passed_over_and_its_place_is_logged(publisher: InMemoryPublisher) -> None:
    stage = Stage()
    stage.log = InMemoryLog(*history("a", 3), *history("b", 2))
    stage.log.alter("a", 1)
    stage.log.alter("b", 1)
    stage.log.alter("b", 2)
    relay = Relay(log=stage.log, publisher=publisher, name="bus", logger=stage.logger, telemetry=stage.telemetry)
    await run_for(5.0, relay.run())
    assert publisher.delivered_ids == ["a:2", "a:3"]
    assert stage.telemetry.altered == {"bus": 3}
    assert stage.log.cursors == {"bus": 5}
    assert relay.lag == 0
    assert [(line["log_level"], line["event"], line["publisher"], line["err"]) for line in stage.lines] == [
        ("error", "event altered in the log: not delivered", "bus", altered_at("a:1", 1)),
        ("error", "event altered in the log: not delivered", "bus", altered_at("b:1", 4)),
        ("error", "event altered in the log: not delivered", "bus", altered_at("b:2", 5)),
    ]
    stage.log.write(*history("a", 4)[3:])
    await run_for(5.0, relay.run())
    assert publisher.delivered_ids == ["a:2", "a:3", "a:4"]
    assert len(stage.lines) == 3


async def test_an_altered_event_among_refused_ones_parks_none_but_those(publisher: InMemoryPublisher) -> None:
    log = InMemoryLog(*history("a", 5))
    log.alter("a", 2)
    publisher.unacceptable = {"a:1", "a:4"}
    await run_for(5.0, Relay(log=log, publisher=publisher, name="bus").run())
    assert publisher.delivered_ids == ["a:3", "a:5"]
    assert [letter.event.id for letter in await log.dead_letters(10)] == ["a:1", "a:4"]


async def test_an_altered_dead_letter_holds_up_no_other(publisher: InMemoryPublisher) -> None:
    stage = Stage()
    altered = altered_event(history("a", 1)[0].as_document(), "among the dead letters for bus", "it is no JSON")
    for event in (altered, *history("b", 1)):
        await stage.log.park(DeadLetter("bus", event, "410", event.occurred_at, due=True))
    await run_for(600.0, Relay(log=stage.log, publisher=publisher, name="bus", logger=stage.logger).run())
    assert publisher.delivered_ids == ["b:1"]
    assert {line["err"] for line in stage.lines_of("dead letter altered: not delivered")} == {altered.problem}
    assert len(stage.lines) <= 11


def altered_at(event_id: str, cursor: int) -> str:
    return f"the event {event_id} at {cursor} in the log was altered and cannot be read: it is no JSON"
