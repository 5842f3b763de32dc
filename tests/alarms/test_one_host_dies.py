"""A host dies: its hundred engines are one alarm, and the nine hundred on other hosts none."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from healthprobe.alarms.alarms import Alarms
from healthprobe.domain.alarms.alert import AlertRoute
from healthprobe.domain.alarms.alerting import GroupRule
from healthprobe.domain.event import EventType
from healthprobe.domain.outcome import HEALTHY
from healthprobe.domain.record import RuntimeRecord
from healthprobe.domain.schedule import AutoLanes
from healthprobe.domain.target import ProbeTarget
from healthprobe.ports import Alerter
from healthprobe.testing.memory import InMemoryAlerter
from healthprobe.testing.prober import SILENT, Answer
from healthprobe.testing.stage import SETTINGS, Stage
from healthprobe.worker.worker import Worker

HOSTS, ENGINES_A_HOST = 10, 100
DEAD = "10.0.0.4"
WAIT = 10.0


class Fleet:
    """A worker over a thousand engines, with two alerters: one that takes updates, and one that sends messages."""

    def __init__(self) -> None:
        self.stage = stage = Stage()
        stage.records.replace_all(
            [
                RuntimeRecord(f"game-{number}", "c1", f"http://10.0.0.{number % HOSTS}:{8000 + number}")
                for number in range(HOSTS * ENGINES_A_HOST)
            ]
        )
        self.dead: set[str] = set()
        stage.prober.script_all_others(self._answer)
        self.system, self.people = InMemoryAlerter(), InMemoryAlerter()
        self.people.takes_updates = False  # type: ignore[attr-defined]  # it becomes a MessageAlerter
        self.worker = worker = Worker(**stage.arguments(max_concurrency=AutoLanes(ceiling=1_000)))
        alerters: dict[str, dict[str, Alerter]] = {"a:": {"system": self.system}, "b:": {"people": self.people}}
        self.alarms = Alarms(
            log=stage.log,
            identity="log-1",
            alerters=alerters,
            routes=[AlertRoute("a:"), AlertRoute("b:")],
            rule=GroupRule("host", timedelta(seconds=WAIT)),
            listing=lambda: worker.status.listing,
            is_gone=worker.status.is_gone,
            clock=stage.clock.now,
            monotonic=stage.clock.monotonic,
            logger=stage.logger,
        )

    def _answer(self, target: ProbeTarget) -> Answer:
        return SILENT if getattr(target.endpoint, "host", "") in self.dead else HEALTHY

    async def run(self) -> None:
        await asyncio.gather(self.worker.run(), self.alarms.run())


async def test_a_dead_host_of_a_hundred_engines_is_one_alert_and_one_message_in_time_and_one_resolve() -> None:
    fleet = Fleet()
    running = asyncio.ensure_future(fleet.run())
    await asyncio.sleep(21.0)
    fleet.dead.add(DEAD)
    threshold_time = SETTINGS["failures_threshold"] * SETTINGS["interval"] + SETTINGS["probe_timeout"]
    await asyncio.sleep(threshold_time + WAIT + 1)
    for alerter in (fleet.system, fleet.people):
        [alert] = alerter.fired
        assert (alert.group_size, len(alert.game_ids), alert.labels) == (100, 100, {"host": DEAD})
        assert alert.summary.startswith("100 of 100 games of host 10.0.0.4 have stopped answering")
    await asyncio.sleep(30.0)
    fleet.dead.clear()
    await asyncio.sleep(20.0)
    for alerter in (fleet.system, fleet.people):
        assert alerter.open == {}
        assert len(alerter.resolved) == 1
    assert len(fleet.people.fired) == 1
    events = fleet.stage.log.events
    assert [event.event_type for event in events].count(EventType.PROBE_FAILED) == ENGINES_A_HOST
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
