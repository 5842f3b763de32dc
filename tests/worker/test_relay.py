"""The relay: what the log holds reaches the publisher, in order, at least once, whatever breaks and whoever is down."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from healthprobe.domain.event import HealthEvent, ProbeFailedDetails, ProbeRecoveredDetails
from healthprobe.domain.outcome import HEALTHY
from healthprobe.testing.clock import FIRST_INSTANT
from healthprobe.testing.memory import MemoryLog, MemoryPublisher
from healthprobe.testing.prober import UNAVAILABLE
from healthprobe.testing.stage import Stage, run_for, ticks
from healthprobe.worker.relay import Relay
from healthprobe.worker.worker import Worker

DOWN = ProbeFailedDetails(3, 503, "unexpected status 503")


def events(game_id: str, *, first: int = 1, last: int) -> list[HealthEvent]:
    return [
        HealthEvent(sequence, game_id, "c1", FIRST_INSTANT + timedelta(seconds=sequence), details)
        for sequence in range(first, last + 1)
        for details in [DOWN if sequence % 2 else ProbeRecoveredDetails(3)]
    ]


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog(*events("a", last=4))


@pytest.fixture
def publisher() -> MemoryPublisher:
    return MemoryPublisher()


async def test_it_delivers_what_the_log_holds_in_order_and_remembers_in_the_log_how_far_it_got(
    log: MemoryLog, publisher: MemoryPublisher
) -> None:
    await run_for(0.5, Relay(log=log, publisher=publisher, name="stdout").run())
    assert publisher.delivered == log.events
    assert log.cursors == {"stdout": 4}


async def test_it_goes_on_from_its_cursor_and_delivers_nothing_twice(
    log: MemoryLog, publisher: MemoryPublisher
) -> None:
    await run_for(0.5, Relay(log=log, publisher=publisher, name="stdout").run())
    log.write(*events("b", last=2))
    await run_for(0.5, Relay(log=log, publisher=publisher, name="stdout").run())
    assert publisher.delivered == log.events
    assert len(publisher.asked_at) == 2


async def test_each_publisher_has_a_cursor_of_its_own(log: MemoryLog) -> None:
    first, second = MemoryPublisher(), MemoryPublisher()
    await run_for(0.5, Relay(log=log, publisher=first, name="first").run())
    log.write(*events("b", last=1))
    await run_for(0.5, Relay(log=log, publisher=second, name="second").run())
    assert (len(first.delivered), len(second.delivered)) == (4, 5)
    assert log.cursors == {"first": 4, "second": 5}


async def test_a_wake_delivers_at_once(log: MemoryLog, publisher: MemoryPublisher) -> None:
    relay = Relay(log=log, publisher=publisher, name="stdout", poll_interval=3600.0)
    running = asyncio.ensure_future(run_for(100.0, relay.run()))
    await asyncio.sleep(10.0)
    log.write(*events("b", last=1))
    relay.wake()
    await asyncio.sleep(0.001)
    assert publisher.delivered_ids[-1] == "b:1"
    running.cancel()


async def test_what_others_wrote_is_found_within_a_poll_interval(log: MemoryLog, publisher: MemoryPublisher) -> None:
    running = asyncio.ensure_future(run_for(100.0, Relay(log=log, publisher=publisher, name="stdout").run()))
    await asyncio.sleep(10.5)
    log.write(*events("b", last=1))
    await asyncio.sleep(1.01)
    assert publisher.delivered_ids[-1] == "b:1"
    running.cancel()


async def test_more_than_one_delivery_holds_are_all_delivered_in_order(publisher: MemoryPublisher) -> None:
    log = MemoryLog(*events("a", last=1234))
    await run_for(0.5, Relay(log=log, publisher=publisher, name="stdout").run())
    assert publisher.delivered == log.events
    assert len(publisher.asked_at) > 1


@pytest.mark.parametrize("switch", ["unavailable", "broken"])
async def test_a_publisher_that_is_down_gets_everything_in_order_when_it_is_back(
    log: MemoryLog, publisher: MemoryPublisher, switch: str
) -> None:
    setattr(publisher, switch, True)
    running = asyncio.ensure_future(run_for(400.0, Relay(log=log, publisher=publisher, name="bus").run()))
    await asyncio.sleep(300.0)
    log.write(*events("a", first=5, last=8))
    assert publisher.delivered == []
    setattr(publisher, switch, False)
    await running
    assert publisher.delivered == log.events


async def test_a_publisher_that_is_down_is_asked_ever_more_seldom_but_at_least_every_half_minute(
    log: MemoryLog, publisher: MemoryPublisher
) -> None:
    publisher.unavailable = True
    await run_for(600.0, Relay(log=log, publisher=publisher, name="bus").run())
    pauses = [later - earlier for earlier, later in zip(publisher.asked_at, publisher.asked_at[1:], strict=False)]
    assert pauses[0] <= 0.1
    assert max(pauses) <= 30.0
    assert min(pauses[-5:]) >= 15.0
    assert 20 < len(pauses) < 60


async def test_it_says_once_that_it_is_stuck_and_once_that_it_is_through(publisher: MemoryPublisher) -> None:
    stage = Stage()
    stage.log = MemoryLog(*events("a", last=2))
    publisher.unavailable = True
    relay = Relay(log=stage.log, publisher=publisher, name="bus", logger=stage.logger)
    running = asyncio.ensure_future(run_for(400.0, relay.run()))
    await asyncio.sleep(300.0)
    publisher.unavailable = False
    await running
    assert [(line["log_level"], line["event"], line["publisher"]) for line in stage.lines] == [
        ("warning", "relay is stuck", "bus"),
        ("info", "relay is through again", "bus"),
    ]
    assert stage.lines[0]["err"] == "it was switched off; switch it on again"


async def test_one_publisher_that_hangs_or_is_down_delays_nobody_else(log: MemoryLog) -> None:
    hanging, dead, well = MemoryPublisher(), MemoryPublisher(), MemoryPublisher()
    hanging.delay = 1e4
    dead.unavailable = True
    relays = [
        Relay(log=log, publisher=publisher, name=name)
        for name, publisher in {"hanging": hanging, "dead": dead, "well": well}.items()
    ]
    await asyncio.gather(*(run_for(5.0, relay.run()) for relay in relays))
    assert well.delivered == log.events
    assert log.cursors == {"well": 4}


async def test_a_publisher_that_takes_its_time_delays_no_probe(publisher: MemoryPublisher) -> None:
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
    log: MemoryLog, publisher: MemoryPublisher
) -> None:
    publisher.lose_acknowledgement = True
    running = asyncio.ensure_future(run_for(60.0, Relay(log=log, publisher=publisher, name="bus").run()))
    await asyncio.sleep(0.01)
    publisher.lose_acknowledgement = False
    await running
    assert publisher.delivered_ids == ["a:1", "a:2", "a:3", "a:4"] * 2
    assert log.cursors == {"bus": 4}


async def test_a_kill_between_delivery_and_cursor_makes_it_come_again_and_never_lost(
    log: MemoryLog, publisher: MemoryPublisher
) -> None:
    class Killed(BaseException):
        """As a kill: nothing catches it."""

    async def killed(name: str, cursor: int) -> None:
        raise Killed

    log.save_cursor, save_cursor = killed, log.save_cursor  # type: ignore[method-assign]  # the process dies here
    with pytest.raises(Killed):
        await Relay(log=log, publisher=publisher, name="bus").run()
    log.save_cursor = save_cursor  # type: ignore[method-assign]
    log.write(*events("a", first=5, last=5))
    await run_for(1.0, Relay(log=log, publisher=publisher, name="bus").run())
    assert publisher.delivered_ids == ["a:1", "a:2", "a:3", "a:4", "a:1", "a:2", "a:3", "a:4", "a:5"]
    assert log.cursors == {"bus": 5}


async def test_a_log_that_is_away_is_read_again_when_it_is_back(log: MemoryLog, publisher: MemoryPublisher) -> None:
    log.unavailable = True
    running = asyncio.ensure_future(run_for(200.0, Relay(log=log, publisher=publisher, name="bus").run()))
    await asyncio.sleep(100.0)
    assert publisher.asked_at == []
    log.unavailable = False
    await running
    assert publisher.delivered == log.events


async def test_a_publisher_that_raises_cancelled_error_of_its_own_does_not_end_the_relay(log: MemoryLog) -> None:
    class Cancelled(MemoryPublisher):
        async def pass_switches(self) -> None:
            if len(self.asked_at) < 3:
                raise asyncio.CancelledError

    publisher = Cancelled()
    await run_for(60.0, Relay(log=log, publisher=publisher, name="bus").run())
    assert publisher.delivered == log.events


async def test_an_event_that_will_never_be_taken_ends_the_relay_with_one_error_and_stays_in_the_log() -> None:
    stage, publisher = Stage(), MemoryPublisher()
    stage.log = MemoryLog(*events("a", last=4))
    publisher.unacceptable = {"a:3"}
    relay = Relay(log=stage.log, publisher=publisher, name="bus", logger=stage.logger)
    async with asyncio.timeout(10):
        await relay.run()
    assert [(line["log_level"], line["err"]) for line in stage.lines] == [("error", "a:3 will never be taken")]
    assert len(stage.log.events) == 4
    assert stage.log.cursors.get("bus", 0) < 3


class TestDraining:
    async def test_delivers_what_the_log_holds_now_without_a_run(
        self, log: MemoryLog, publisher: MemoryPublisher
    ) -> None:
        await Relay(log=log, publisher=publisher, name="bus").drain(within=1.0)
        assert publisher.delivered == log.events
        assert log.cursors == {"bus": 4}

    async def test_follows_a_run_that_was_cancelled_and_repeats_nothing(
        self, log: MemoryLog, publisher: MemoryPublisher
    ) -> None:
        relay = Relay(log=log, publisher=publisher, name="bus")
        await run_for(1.5, relay.run())
        log.write(*events("b", last=1))
        await relay.drain(within=1.0)
        assert publisher.delivered == log.events

    async def test_gives_up_in_time_where_the_publisher_hangs(self, log: MemoryLog, publisher: MemoryPublisher) -> None:
        publisher.delay = 3600.0
        await Relay(log=log, publisher=publisher, name="bus").drain(within=1.5)
        assert asyncio.get_running_loop().time() == pytest.approx(1.5)
        assert log.cursors == {}

    async def test_gives_up_without_raising_where_the_publisher_is_down(
        self, log: MemoryLog, publisher: MemoryPublisher
    ) -> None:
        publisher.unavailable = True
        await Relay(log=log, publisher=publisher, name="bus").drain(within=1.5)
        assert publisher.delivered == []
        assert asyncio.get_running_loop().time() <= 1.5

    async def test_ends_though_a_run_that_hangs_holds_the_publisher(
        self, log: MemoryLog, publisher: MemoryPublisher
    ) -> None:
        publisher.delay = 3600.0
        relay = Relay(log=log, publisher=publisher, name="bus")
        running = asyncio.ensure_future(run_for(5.0, relay.run()))
        await asyncio.sleep(1.0)
        await relay.drain(within=1.5)
        assert asyncio.get_running_loop().time() == pytest.approx(2.5)
        running.cancel()


async def test_from_probe_to_publisher_every_transition_arrives_once_and_in_order(publisher: MemoryPublisher) -> None:
    stage = Stage(a=[UNAVAILABLE] * 5 + [HEALTHY] * 2 + [UNAVAILABLE] * 3, b=[HEALTHY] * 2 + [UNAVAILABLE] * 8)
    relay = Relay(log=stage.log, publisher=publisher, name="bus")
    worker = Worker(**stage.arguments(on_commit=relay.wake))
    running = asyncio.ensure_future(relay.run())
    await ticks(worker, 10)
    await asyncio.sleep(0.01)
    running.cancel()
    assert publisher.delivered == stage.log.events
    assert publisher.delivered_ids == ["a:1", "b:1", "a:2", "a:3"]
