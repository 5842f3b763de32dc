"""The pace: a bus is handed hundreds at once, a slow webhook a few, and a stop repeats no more than a second's work."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from healthprobe.domain.event import HealthEvent
from healthprobe.ports import PublishError
from healthprobe.testing.contracts.samples import history
from healthprobe.testing.memory import InMemoryLog, InMemoryPublisher
from healthprobe.testing.stage import Stage, run_for
from healthprobe.worker.relay import BATCH, Relay


class OneByOne(InMemoryPublisher):
    """As a webhook: each event takes its time; it notes how many it was handed at once."""

    def __init__(self, seconds_each: float) -> None:
        super().__init__()
        self.seconds_each = seconds_each
        self.handed: list[int] = []

    async def publish(self, events: Sequence[HealthEvent]) -> None:
        self.handed.append(len(events))
        for event in events:
            await asyncio.sleep(self.seconds_each)
            await super().publish([event])


def relay_on(log: InMemoryLog, publisher: InMemoryPublisher, stage: Stage) -> Relay:
    return Relay(log=log, publisher=publisher, name="hook", logger=stage.logger, monotonic=stage.clock.monotonic)


async def test_a_fast_bus_soon_gets_hundreds_of_events_at_once() -> None:
    publisher, log = OneByOne(0.0), InMemoryLog(*history("a", 3 * BATCH))
    await run_for(1.0, relay_on(log, publisher, Stage()).run())
    assert publisher.handed[:6] == [16, 32, 64, 128, 256, 4]
    assert max(publisher.handed) == BATCH
    assert publisher.delivered == log.events


async def test_a_publisher_that_needs_a_second_for_each_gets_one_at_a_time_and_is_not_logged_as_failing() -> None:
    stage, publisher, log = Stage(), OneByOne(1.0), InMemoryLog(*history("a", 200))
    await run_for(300.0, relay_on(log, publisher, stage).run())
    assert publisher.handed[:6] == [16, 8, 4, 2, 1, 1]
    assert publisher.delivered == log.events
    assert stage.lines == []


async def test_a_stop_in_the_middle_repeats_a_second_s_work_and_no_more() -> None:
    publisher, log = OneByOne(0.1), InMemoryLog(*history("a", 600))
    for _ in range(3):
        await run_for(15.05, relay_on(log, publisher, Stage()).run())
    repeated = len(publisher.delivered) - len(set(publisher.delivered_ids))
    assert repeated <= 3 * 16
    assert log.cursors["hook"] >= len(set(publisher.delivered_ids)) - 16


async def test_failures_that_come_at_once_do_not_raise_the_pace() -> None:
    class Refuses(OneByOne):
        async def publish(self, events: Sequence[HealthEvent]) -> None:
            self.handed.append(len(events))
            raise PublishError("connection refused")

    publisher = Refuses(0.0)
    await run_for(60.0, relay_on(InMemoryLog(*history("a", 600)), publisher, Stage()).run())
    assert set(publisher.handed) == {16}
