"""The stage: all that a worker needs of the world, in memory, under command, and with everything it did on record."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import fields
from typing import Any, Protocol

import structlog
from structlog.testing import LogCapture
from structlog.typing import EventDict

from healthprobe.domain.event import HealthEvent, ProbeFailedDetails
from healthprobe.domain.record import RUNNING, RuntimeRecord
from healthprobe.testing.clock import FakeClock
from healthprobe.testing.memory import InMemoryLog, InMemoryRecords
from healthprobe.testing.prober import Answer, Script, ScriptedProber
from healthprobe.testing.telemetry import CountingTelemetry
from healthprobe.worker.config import WorkerConfig

SETTINGS: dict[str, Any] = {"interval": 5.0, "probe_timeout": 2.0, "failures_threshold": 3}
"""How a worker on a stage is set, unless told otherwise: as the command line sets it."""

_RULES = tuple(field.name for field in fields(WorkerConfig))


def game(game_id: str, container: str = "c1", endpoint: str = "http://127.0.0.1:8080") -> RuntimeRecord:
    """A running game."""
    return RuntimeRecord(game_id, container, endpoint, RUNNING)


class Stage:
    """Games by their id, each with the script of its engine; made inside a running `VirtualTimeLoop`.

    `arguments` are what a Worker is made with, so that a test reads `Worker(**stage.arguments(failures_threshold=1))`.
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
        """The log lines that were written, each with its keys, its `log_level`, and its message as `event`."""
        return self.capture.entries

    @property
    def story(self) -> list[tuple[str, str, int]]:
        """The events in the log, briefly: the game, the event type, and the number of failures that it tells."""
        return [(event.game_id, event.event_type.value, _failures_of(event)) for event in self.log.events]

    def arguments(self, **others: Any) -> dict[str, Any]:
        """The collaborators and a WorkerConfig of SETTINGS, with `others` added or in their place."""
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
        """The log lines with this message."""
        return [line for line in self.lines if line["event"] == message]


class Ticks(Protocol):
    """What can be told to make one pass: a Worker."""

    async def tick(self) -> None: ...


async def ticks(worker: Ticks, times: int) -> None:
    """Let `worker` tick so often, one tick after the other."""
    for _ in range(times):
        await worker.tick()


async def run_for(seconds: float, work: Coroutine[Any, Any, None]) -> None:
    """Let `work` run for so long, cancel it, and wait until it has ended. What it raises is raised."""
    task = asyncio.ensure_future(work)
    await asyncio.wait({task}, timeout=seconds)
    task.cancel()
    (result,) = await asyncio.gather(task, return_exceptions=True)
    if isinstance(result, BaseException) and not isinstance(result, asyncio.CancelledError):
        raise result


def _failures_of(event: HealthEvent) -> int:
    details = event.details
    return details.consecutive_failures if isinstance(details, ProbeFailedDetails) else details.prior_failure_count
