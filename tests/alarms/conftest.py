"""A stage of alarms: a log and alerters in memory, and games on hosts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import pytest

from healthprobe.alarms.alarms import Alarms, IsSilenced
from healthprobe.domain.alarms.alert import AlertRoute
from healthprobe.domain.alarms.alerting import GroupRule
from healthprobe.domain.event import HealthEvent, ProbeFailedDetails, ProbeRecoveredDetails
from healthprobe.domain.record import RuntimeRecord
from healthprobe.ports import Alerter
from healthprobe.testing.clock import FakeClock
from healthprobe.testing.memory import InMemoryAlerter, InMemoryLog
from healthprobe.testing.stage import Stage, run_for

ON_CALL = "memory:on-call"


class AlarmStage:
    """Games on two hosts, `h1` with ten and `h2` with two, a log that tests write, and an alerter `on-call`."""

    def __init__(self) -> None:
        self.stage = Stage()
        self.clock = FakeClock()
        self.log = InMemoryLog()
        self.on_call = InMemoryAlerter()
        self.games: Sequence[RuntimeRecord] = [
            *(game_on("h1", f"a{number}") for number in range(10)),
            *(game_on("h2", f"b{number}") for number in range(2)),
        ]
        self.silenced: set[str] = set()
        self.gone: set[str] = set()

    def alarms(
        self,
        *,
        wait: float = 10.0,
        label: str | None = "host",
        routes: Sequence[AlertRoute] = (AlertRoute(ON_CALL),),
        alerters: Mapping[str, Mapping[str, Alerter]] | None = None,
        is_silenced: IsSilenced | None = None,
        **others: Any,
    ) -> Alarms:
        """Returns an alarm stage, as one instance or one run has it."""
        return Alarms(
            log=self.log,
            identity="log-1",
            alerters=alerters or {ON_CALL: {"on-call": self.on_call}},
            routes=routes,
            rule=GroupRule(label, timedelta(seconds=wait)),
            listing=lambda: self.games,
            is_silenced=is_silenced or (lambda game_id, *_: game_id in self.silenced),
            is_gone=lambda game_id: game_id in self.gone,
            telemetry=self.stage.telemetry,
            logger=self.stage.logger,
            clock=self.clock.now,
            monotonic=self.clock.monotonic,
            **others,
        )

    async def run(self, seconds: float, alarms: Alarms | None = None, **settings: Any) -> Alarms:
        """Runs an alarm stage, a new one where none is given, and ends it as a kill would."""
        alarms = alarms or self.alarms(**settings)
        await run_for(seconds, alarms.run())
        return alarms

    def fail(self, *game_ids: str) -> None:
        self._write(ProbeFailedDetails(3, 503, "unexpected status 503"), *game_ids)

    def recover(self, *game_ids: str) -> None:
        self._write(ProbeRecoveredDetails(5), *game_ids)

    def _write(self, details: Any, *game_ids: str) -> None:
        for game_id in game_ids:
            sequence = len(self.log.events_of(game_id)) + 1
            self.log.write(HealthEvent(sequence, game_id, "c1", self.clock.now(), details))

    @property
    def open(self) -> list[tuple[str, ...]]:
        """The games of each alert that is open at the on-call system, in order."""
        return sorted(alert.game_ids for alert in self.on_call.open.values())


def game_on(host: str, game_id: str) -> RuntimeRecord:
    return RuntimeRecord(game_id, "c1", f"http://{host}:8080")


@pytest.fixture
async def alarm_stage() -> AlarmStage:
    return AlarmStage()
