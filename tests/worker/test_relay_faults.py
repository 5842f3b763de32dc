"""The relay when a publisher or the log is down, slow or broken: at least once, in order, and no other waits."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from healthprobe.domain.event import HealthEvent
from healthprobe.domain.outcome import HEALTHY
from healthprobe.ports import LogError, PublisherClosed, PublishError
from healthprobe.testing.contracts.samples import history
from healthprobe.testing.memory import InMemoryLog, InMemoryPublisher
from healthprobe.testing.prober import UNAVAILABLE
from healthprobe.testing.stage import Stage, run_for
from healthprobe.worker.relay import BATCH, LONGEST_WAIT, Relay
from healthprobe.worker.worker import Worker


@pytest.mark.parametrize("switch", ["unavailable", "broken"])
async def test_a_publisher_that_is_down_gets_everything_in_order_when_it_is_back(
    log: InMemoryLog, publisher: InMemoryPublisher, switch: str
) -> None:
    setattr(publisher, switch, True)
    running = asyncio.ensure_future(run_for(400.0, Relay(log=log, publisher=publisher, name="bus").run()))
    await asyncio.sleep(300.0)
    log.write(*history("a", 8)[4:])
    assert publisher.delivered == []
    setattr(publisher, switch, False)
    await running
    assert publisher.delivered == log.events


async def test_a_publisher_that_is_down_is_asked_ever_more_seldom_but_at_least_every_six_seconds(
    log: InMemoryLog, publisher: InMemoryPublisher
) -> None:
    publisher.unavailable = True
    await run_for(600.0, Relay(log=log, publisher=publisher, name="bus").run())
    pauses = [later - earlier for earlier, later in zip(publisher.asked_at, publisher.asked_at[1:], strict=False)]
    assert pauses[0] <= 0.1
    assert max(pauses) <= LONGEST_WAIT == 6.0
    assert min(pauses[-5:]) >= LONGEST_WAIT / 2
    assert 100 < len(pauses) < 210


async def test_a_failing_delivery_is_logged_once_and_so_is_its_end(publisher: InMemoryPublisher) -> None:
    stage = Stage()
    stage.log = InMemoryLog(*history("a", 2))
    publisher.unavailable = True
    relay = Relay(log=stage.log, publisher=publisher, name="bus", logger=stage.logger)
    running = asyncio.ensure_future(run_for(400.0, relay.run()))
    await asyncio.sleep(300.0)
    publisher.unavailable = False
    await running
    assert [(line["log_level"], line["event"], line["publisher"]) for line in stage.lines] == [
        ("warning", "delivery failing, will retry", "bus"),
        ("info", "delivery works again", "bus"),
    ]
    assert stage.lines[0]["err"] == "it was switched off; switch it on again"


async def test_each_cause_is_logged_once_until_delivery_works_again(log: InMemoryLog) -> None:
    class Alternates(InMemoryPublisher):
        async def pass_switches(self) -> None:
            if len(self.asked_at) <= 20:
                code = ("502", "401")[len(self.asked_at) % 2]
                raise PublishError(f"answered {code} to request {len(self.asked_at)}", code=code)

    stage = Stage()
    publisher = Alternates()
    relay = Relay(log=log, publisher=publisher, name="bus", logger=stage.logger, telemetry=stage.telemetry)
    await run_for(300.0, relay.run())
    assert [line.get("err") for line in stage.lines] == ["answered 401 to request 1", "answered 502 to request 2", None]
    assert stage.telemetry.deliveries[19:22] == [
        ("bus", "answered 502 to request 20", "502"),
        ("bus", None, ""),
        ("bus", None, ""),
    ]
    assert publisher.delivered == log.events


async def test_a_publisher_that_hangs_or_is_down_delays_no_other(log: InMemoryLog) -> None:
    hanging, dead, well = InMemoryPublisher(), InMemoryPublisher(), InMemoryPublisher()
    hanging.delay = 1e4
    dead.unavailable = True
    relays = [
        Relay(log=log, publisher=publisher, name=name)
        for name, publisher in {"hanging": hanging, "dead": dead, "well": well}.items()
    ]
    await asyncio.gather(*(run_for(5.0, relay.run()) for relay in relays))
    assert well.delivered == log.events
    assert log.cursors == {"hanging": 0, "dead": 0, "well": 4}


async def test_a_slow_publisher_delays_no_probe(publisher: InMemoryPublisher) -> None:
    publisher.delay = 30.0
    stage = Stage(**{f"g{number}": [UNAVAILABLE] * 3 + [HEALTHY] for number in range(40)})
    relay = Relay(log=stage.log, publisher=publisher, name="bus")
    worker = Worker(**stage.arguments(on_commit=relay.wake))
    await asyncio.gather(run_for(59.0, worker.run()), run_for(200.0, relay.run()))
    assert len(stage.prober.probes) == 40 * 12
    assert max(stage.telemetry.lateness) < 0.02
    assert publisher.delivered == stage.log.events
    assert len(publisher.delivered) == 80


async def test_a_delivery_whose_acknowledgement_was_lost_comes_again_with_the_same_ids(
    log: InMemoryLog, publisher: InMemoryPublisher
) -> None:
    publisher.lose_acknowledgement = True
    running = asyncio.ensure_future(run_for(60.0, Relay(log=log, publisher=publisher, name="bus").run()))
    await asyncio.sleep(0.01)
    publisher.lose_acknowledgement = False
    await running
    assert publisher.delivered_ids == ["a:1", "a:2", "a:3", "a:4"] * 2
    assert log.cursors == {"bus": 4}


async def test_a_kill_between_delivery_and_cursor_makes_it_come_again_and_never_lost(
    log: InMemoryLog, publisher: InMemoryPublisher
) -> None:
    class Killed(BaseException):
        """As a kill: nothing catches it."""

    async def killed(name: str, cursor: int) -> None:
        if cursor > 0:
            raise Killed

    log.save_cursor, save_cursor = killed, log.save_cursor  # type: ignore[method-assign]  # the process dies here
    with pytest.raises(Killed):
        await Relay(log=log, publisher=publisher, name="bus").run()
    log.save_cursor = save_cursor  # type: ignore[method-assign]
    log.write(*history("a", 5)[4:])
    await run_for(1.0, Relay(log=log, publisher=publisher, name="bus").run())
    assert publisher.delivered_ids == ["a:1", "a:2", "a:3", "a:4", "a:1", "a:2", "a:3", "a:4", "a:5"]
    assert log.cursors == {"bus": 5}


async def test_a_log_that_is_away_is_read_again_when_it_is_back(log: InMemoryLog, publisher: InMemoryPublisher) -> None:
    log.unavailable = True
    running = asyncio.ensure_future(run_for(200.0, Relay(log=log, publisher=publisher, name="bus").run()))
    await asyncio.sleep(100.0)
    assert publisher.asked_at == []
    log.unavailable = False
    await running
    assert publisher.delivered == log.events


async def test_a_publisher_that_raises_cancelled_error_of_its_own_does_not_end_the_relay(log: InMemoryLog) -> None:
    class Cancelled(InMemoryPublisher):
        async def pass_switches(self) -> None:
            if len(self.asked_at) < 3:
                raise asyncio.CancelledError

    publisher = Cancelled()
    await run_for(60.0, Relay(log=log, publisher=publisher, name="bus").run())
    assert publisher.delivered == log.events


async def test_a_publisher_that_is_gone_for_good_ends_its_relay_with_one_error_and_the_events_stay_in_the_log() -> None:
    class Gone(InMemoryPublisher):
        async def pass_switches(self) -> None:
            raise PublisherClosed("its reader has left")

    stage = Stage()
    stage.log = InMemoryLog(*history("a", 4))
    relay = Relay(log=stage.log, publisher=Gone(), name="bus", logger=stage.logger)
    async with asyncio.timeout(10):
        await relay.run()
        await relay.drain(within=1.0)
    assert [(line["log_level"], line["err"]) for line in stage.lines] == [("error", "its reader has left")]
    assert len(stage.log.events) == 4
    assert stage.log.cursors == {"bus": 0}
    assert stage.log.letters == {}


async def test_what_was_acknowledged_before_a_fault_does_not_come_again(log: InMemoryLog) -> None:
    class BreaksHalfWay(InMemoryPublisher):
        async def publish(self, events: Sequence[HealthEvent]) -> None:
            if len(events) > 1:
                await super().publish(events[:2])
                raise PublishError("the connection broke", delivered=2)
            await super().publish(events)

    log.write(*history("a", 5)[4:])
    publisher = BreaksHalfWay()
    await run_for(10.0, Relay(log=log, publisher=publisher, name="bus").run())
    assert publisher.delivered == log.events
    assert log.cursors == {"bus": 5}


async def test_a_bus_that_asks_for_patience_is_left_alone_for_so_long(log: InMemoryLog) -> None:
    class AsksForPatience(InMemoryPublisher):
        async def pass_switches(self) -> None:
            if len(self.asked_at) == 1:
                raise PublishError("answered 429", retry_after=120.0)

    publisher = AsksForPatience()
    await run_for(200.0, Relay(log=log, publisher=publisher, name="bus").run())
    first, second = publisher.asked_at
    assert second - first == pytest.approx(120.0)
    assert publisher.delivered == log.events


async def test_a_bus_that_asks_for_a_day_is_asked_again_after_an_hour(log: InMemoryLog) -> None:
    class AsksForADay(InMemoryPublisher):
        async def pass_switches(self) -> None:
            raise PublishError("answered 503", retry_after=86_400.0)

    publisher = AsksForADay()
    await run_for(3700.0, Relay(log=log, publisher=publisher, name="bus").run())
    assert len(publisher.asked_at) == 2


async def test_one_that_does_not_answer_is_said_to_be_stuck_and_waited_for_all_the_same(log: InMemoryLog) -> None:
    stage, publisher = Stage(), InMemoryPublisher()
    publisher.delay = 300.0
    relay = Relay(log=log, publisher=publisher, name="bus", logger=stage.logger, telemetry=stage.telemetry)
    running = asyncio.ensure_future(run_for(400.0, relay.run()))
    await asyncio.sleep(299.0)
    assert [line["event"] for line in stage.lines] == ["delivery failing, will retry"]
    assert stage.lines[0]["err"] == "no answer for 30s"
    assert stage.telemetry.lag == {"bus": 4}
    await running
    assert [line["event"] for line in stage.lines][1:] == ["delivery works again"]
    assert publisher.delivered == log.events
    assert len(publisher.asked_at) == 1


class TestLag:
    async def test_is_how_many_events_wait_while_a_publisher_is_down(self, publisher: InMemoryPublisher) -> None:
        stage = Stage()
        stage.log = InMemoryLog(*history("a", 7))
        publisher.unavailable = True
        relay = Relay(log=stage.log, publisher=publisher, name="bus", logger=stage.logger, telemetry=stage.telemetry)
        running = asyncio.ensure_future(run_for(100.0, relay.run()))
        await asyncio.sleep(1.0)
        assert (relay.lag, stage.telemetry.lag) == (7, {"bus": 7})
        assert stage.lines_of("delivery failing, will retry")[0]["lag"] == 7
        stage.log.write(*history("b", 3))
        await asyncio.sleep(LONGEST_WAIT)
        assert stage.telemetry.lag == {"bus": 10}
        publisher.unavailable = False
        await running
        assert (relay.lag, stage.telemetry.lag) == (0, {"bus": 0})

    async def test_is_known_before_a_long_delivery_ends(self, publisher: InMemoryPublisher) -> None:
        log, stage = InMemoryLog(*history("a", BATCH + 300)), Stage()
        publisher.delay = 10.0
        relay = Relay(log=log, publisher=publisher, name="bus", telemetry=stage.telemetry)
        running = asyncio.ensure_future(run_for(100.0, relay.run()))
        await asyncio.sleep(5.0)
        assert relay.lag == BATCH + 300
        await running

    async def test_telemetry_that_raises_costs_no_delivery(
        self, log: InMemoryLog, publisher: InMemoryPublisher
    ) -> None:
        stage = Stage()
        stage.telemetry.broken = True
        publisher.unacceptable = {"a:2"}
        relay = Relay(log=log, publisher=publisher, name="bus", logger=stage.logger, telemetry=stage.telemetry)
        await run_for(1.0, relay.run())
        assert publisher.delivered_ids == ["a:1", "a:3", "a:4"]


async def test_what_was_acknowledged_is_not_sent_again_while_its_cursor_cannot_be_saved(
    publisher: InMemoryPublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage()
    stage.log = log = InMemoryLog(*history("a", 4))

    async def locked(*_: object) -> None:
        raise LogError("database is locked")

    with monkeypatch.context() as patch:
        patch.setattr(log, "save_cursor", locked)
        log.write(*history("b", 2))
        relay = Relay(log=log, publisher=publisher, name="bus", logger=stage.logger)
        await run_for(30.0, relay.run())
    await run_for(10.0, relay.run())
    assert publisher.delivered == log.events
    assert await log.load_cursor("bus") == await log.end()
    assert [line["event"] for line in stage.lines] == [
        "delivery waits for the log, will retry",
        "delivery works again",
    ]
    assert stage.lines[0]["err"] == "database is locked"


async def test_what_is_new_is_delivered_at_once_though_the_cursor_cannot_be_saved(
    log: InMemoryLog, publisher: InMemoryPublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage, tries = Stage(), 0

    async def not_allowed(*_: object) -> None:
        nonlocal tries
        tries += 1
        raise LogError("permission denied", permanent=True)

    relay = Relay(log=log, publisher=publisher, name="bus", logger=stage.logger, telemetry=stage.telemetry)
    await run_for(1.0, relay.run())
    with monkeypatch.context() as patch:
        patch.setattr(log, "save_cursor", not_allowed)
        log.write(*history("b", 3 * BATCH))
        await run_for(1.0, relay.run())
        assert publisher.delivered == log.events
        assert tries < 6, "once a try, and not for each of its batches"
        log.write(*history("c", 2))
        await run_for(LONGEST_WAIT + 1.0, relay.run())
        assert publisher.delivered == log.events
    assert stage.telemetry.deliveries[-1] == ("bus", "waits for the log: permission denied", "")
    await run_for(LONGEST_WAIT + 1.0, relay.run())
    assert publisher.delivered == log.events
    assert await log.load_cursor("bus") == await log.end()


async def test_a_replay_that_was_acknowledged_is_not_sent_again_while_the_log_cannot_remove_it(
    log: InMemoryLog, publisher: InMemoryPublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def locked(*_: object) -> None:
        raise LogError("database is locked")

    publisher.unacceptable = {"a:2"}
    relay = Relay(log=log, publisher=publisher, name="bus")
    await run_for(10.0, relay.run())
    publisher.unacceptable = set()
    await log.request_replay()
    with monkeypatch.context() as patch:
        patch.setattr(log, "release", locked)
        await run_for(30.0, relay.run())
    await run_for(10.0, relay.run())
    assert [event.id for event in publisher.delivered].count("a:2") == 1
    assert await log.dead_letters(10) == []
