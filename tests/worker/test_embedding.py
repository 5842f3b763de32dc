"""What a program that embeds a worker has to bring, and what the worker leaves alone."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence

import pytest
import structlog

from healthprobe.domain.event import HealthEvent
from healthprobe.domain.outcome import HEALTHY, Failed, Healthy, Inconclusive, ProbeOutcome
from healthprobe.domain.record import RuntimeRecord
from healthprobe.domain.target import ProbeTarget
from healthprobe.testing.prober import UNAVAILABLE
from healthprobe.testing.stage import Stage, run_for, ticks
from healthprobe.worker.config import WorkerConfig
from healthprobe.worker.worker import Worker


class Store:
    """A store with the one method that its port has."""

    def __init__(self) -> None:
        self.records = [RuntimeRecord("a", "c1", "http://127.0.0.1:1")]

    async def list_by_status(self, status: str) -> list[RuntimeRecord]:
        return [record for record in self.records if record.status == status]


class Log:
    """A log with the two methods that its port has."""

    def __init__(self) -> None:
        self.events: list[HealthEvent] = []
        self.last: dict[str, HealthEvent] = {}

    async def last_events(self, game_ids: Iterable[str]) -> Mapping[str, HealthEvent]:
        return {game_id: self.last[game_id] for game_id in game_ids if game_id in self.last}

    async def append(self, events: Sequence[HealthEvent]) -> Sequence[HealthEvent | None]:
        for event in events:
            last = self.last.get(event.game_id)
            if event.sequence == (last.sequence if last else 0) + 1:
                self.last[event.game_id] = event
                self.events.append(event)
        return [self.last.get(event.game_id) for event in events]


class ConstantProber:
    """A prober with the one method that its port has."""

    def __init__(self, outcome: ProbeOutcome) -> None:
        self.outcome = outcome

    async def probe(self, target: ProbeTarget) -> ProbeOutcome:
        return self.outcome


async def test_one_method_of_a_store_two_of_a_log_and_one_of_a_prober_are_enough() -> None:
    store, log, prober = Store(), Log(), ConstantProber(Failed(503, "unexpected status 503"))
    worker = Worker(records=store, log=log, prober=prober, config=WorkerConfig(failures_threshold=2))
    await ticks(worker, 2)
    assert [event.event_type.value for event in log.events] == ["probe_failed"]
    prober.outcome = Healthy()
    await worker.tick()
    assert [event.event_type.value for event in log.events] == ["probe_failed", "probe_recovered"]


async def test_a_prober_that_keeps_nothing_has_nothing_to_forget(caplog: pytest.LogCaptureFixture) -> None:
    store = Store()
    worker = Worker(records=store, log=Log(), prober=ConstantProber(HEALTHY))
    await worker.tick()
    store.records.clear()
    await worker.tick()
    assert worker.games == 0
    assert caplog.records == []


async def test_what_is_not_an_outcome_is_inconclusive() -> None:
    stage = Stage(a=UNAVAILABLE)
    arguments = stage.arguments(failures_threshold=1)
    arguments["prober"] = ConstantProber(None)  # type: ignore[arg-type]
    await Worker(**arguments).tick()
    assert stage.log.events == []
    assert stage.telemetry.outcomes == [Inconclusive("the prober returned None")]


async def test_a_worker_can_be_run_again_after_it_was_cancelled() -> None:
    stage = Stage(a=[UNAVAILABLE] * 5 + [HEALTHY])
    worker = Worker(**stage.arguments())
    await run_for(12.0, worker.run())
    assert stage.story == [("a", "probe_failed", 3)]
    await asyncio.sleep(60.0)
    await run_for(12.0, worker.run())
    assert stage.story == [("a", "probe_failed", 3), ("a", "probe_recovered", 5)]
    assert len(stage.lines_of("health probe worker started")) == len(stage.lines_of("health probe worker stopped")) == 2


async def test_ticks_before_a_run_count_as_any_other() -> None:
    stage = Stage(a=UNAVAILABLE)
    worker = Worker(**stage.arguments())
    await ticks(worker, 2)
    await run_for(1.0, worker.run())
    assert stage.story == [("a", "probe_failed", 3)]


async def test_a_logger_of_the_standard_library_gets_the_lines_with_their_keys(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stage = Stage(a=UNAVAILABLE)
    caplog.set_level(logging.INFO, "platform")
    await Worker(**stage.arguments(failures_threshold=1, logger=logging.getLogger("platform"))).tick()
    [record] = caplog.records
    assert (record.name, record.levelno) == ("platform", logging.INFO)
    assert record.getMessage().startswith("probe event published worker=rtmanager.healthprobe game_id=a")
    assert vars(record)["healthprobe"]["event_type"] == "probe_failed"


async def test_without_a_logger_lines_go_to_the_standard_librarys_and_never_to_standard_output(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    stage = Stage(a=UNAVAILABLE)
    caplog.set_level(logging.INFO)
    await Worker(**stage.arguments(failures_threshold=1, logger=None)).tick()
    assert [record.name for record in caplog.records] == ["healthprobe"]
    assert not structlog.is_configured()
    assert capsys.readouterr().out == ""
