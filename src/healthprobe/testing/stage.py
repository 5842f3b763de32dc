"""A test stage for a worker: its collaborators in memory, under control, with everything that they did on record."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import fields
from typing import Any, Protocol

import structlog
from structlog.testing import LogCapture
from structlog.typing import EventDict

from healthprobe.domain.event import HealthEvent, ProbeFailedDetails, ProbeRecoveredDetails
from healthprobe.domain.record import RUNNING, RuntimeRecord
from healthprobe.testing.clock import FakeClock
from healthprobe.testing.memory import InMemoryLog, InMemoryRecords
from healthprobe.testing.prober import Answer, Script, ScriptedProber
from healthprobe.testing.telemetry import CountingTelemetry
from healthprobe.worker.config import WorkerConfig

SETTINGS: dict[str, Any] = {"interval": 5.0, "probe_timeout": 2.0, "failures_threshold": 3}
"""The default settings of a worker on a stage: those of the command line."""

_RULES = tuple(field.name for field in fields(WorkerConfig))


def game(game_id: str, container: str = "c1", endpoint: str = "http://127.0.0.1:8080") -> RuntimeRecord:
    """A running game."""
    return RuntimeRecord(game_id, container, endpoint, RUNNING)


class Stage:
    """Games by their id, each with the script of its engine. Create it inside a running `VirtualTimeLoop`.

    `arguments` are the arguments of a Worker: `Worker(**stage.arguments(failures_threshold=1))`.
    """

    def __init__(self, **engines: Script | Answer) -> None:
        self.records = InMemoryRecords(*(game(game_id) for game_id in engines))
        self.log = InMemoryLog()
        self.prober = ScriptedProber(**engines)
        self.telemetry = CountingTelemetry()
        self.clock = FakeClock()
        self.capture = LogCapture()
        self.logger: Any = structlog.wrap_logger(None, processors=[self.capture])

    @property
    def lines(self) -> list[EventDict]:
        """The log lines so far, each with its keys, its `log_level`, and its message as `event`."""
        return self.capture.entries

    @property
    def story(self) -> list[tuple[str, str, int]]:
        """The events in the log, each as its game, event type and number of failures, if it has one."""
        return [(event.game_id, event.event_type.value, _failures_of(event)) for event in self.log.events]

    def arguments(self, **others: Any) -> dict[str, Any]:
        """Returns the collaborators and a WorkerConfig of SETTINGS, with `others` added or in their place."""
        collaborators = {
            "records": self.records,
            "log": self.log,
            "prober": self.prober,
            "telemetry": self.telemetry,
            "clock": self.clock.now,
            "monotonic": self.clock.monotonic,
            "logger": self.logger,
        }
        rules = {name: others.pop(name) for name in _RULES if name in others}
        return {**collaborators, "config": WorkerConfig(**{**SETTINGS, **rules}), **others}

    def lines_of(self, message: str) -> list[EventDict]:
        """Returns the log lines with this message."""
        return [line for line in self.lines if line["event"] == message]


class Ticks(Protocol):
    """An object with a `tick` method: a Worker."""

    async def tick(self) -> None: ...


async def ticks(worker: Ticks, times: int) -> None:
    """Runs `times` ticks, one after the other."""
    for _ in range(times):
        await worker.tick()


async def run_for(seconds: float, work: Coroutine[Any, Any, None]) -> None:
    """Runs `work` for `seconds`, cancels it and waits for its end. Raises what it raises."""
    task = asyncio.ensure_future(work)
    await asyncio.wait({task}, timeout=seconds)
    task.cancel()
    (result,) = await asyncio.gather(task, return_exceptions=True)
    if isinstance(result, BaseException) and not isinstance(result, asyncio.CancelledError):
        raise result


def _failures_of(event: HealthEvent) -> int:
    details = event.details
    if isinstance(details, ProbeFailedDetails):
        return details.consecutive_failures
    return details.prior_failure_count if isinstance(details, ProbeRecoveredDetails) else 0
