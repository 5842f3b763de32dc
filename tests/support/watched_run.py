"""A run that is watched over HTTP: a real worker and the real API, on a loop in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import structlog
from structlog.testing import LogCapture
from tests.support.waiting import PATIENCE

from healthprobe.status.histories import Histories
from healthprobe.status.run_status import RunStatus
from healthprobe.testing.memory import InMemoryLog, InMemoryRecords
from healthprobe.testing.prober import Answer, Script, ScriptedProber
from healthprobe.testing.stage import game
from healthprobe.web.app import create_app
from healthprobe.web.listen_address import ListenAddress
from healthprobe.web.server import serving
from healthprobe.worker.config import WorkerConfig
from healthprobe.worker.worker import Worker

INTERVAL = 0.1
TIMEOUT = 0.05

LONG_AGO = timedelta(hours=3, minutes=12, seconds=5)
"""How long ago every transition was seen, as the worker's clock has it: so long that what is shown of it stays."""


class _Connections:
    open_connections = 3
    capacity = 1_000


class WatchedRun:
    """Games by id, each with its engine's answers. `at` is the address, with the same port every time."""

    def __init__(self, engines: Mapping[str, Script | Answer], *, token: str | None = None) -> None:
        self.prober = ScriptedProber(**engines)
        self.records = InMemoryRecords(*(game(game_id, "c0ffee") for game_id in engines))
        self.log = InMemoryLog()
        self.histories = Histories()
        self.at = ""
        self._token = token
        self._port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._stack = AsyncExitStack()
        self._working: asyncio.Task[None] | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        self._do(self._begin())
        self.listen()
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def listen(self) -> None:
        """Starts to listen."""
        self._do(self._listen())

    def go_away(self) -> None:
        """Refuses connections until `listen`."""
        self._do(self._stack.aclose())

    def wait_until(self, happened: Callable[[], bool]) -> None:
        """Waits until a condition is true."""
        while not happened():
            time.sleep(0.01)

    def wait_for_probes(self, count: int) -> None:
        """Waits until there have been `count` probes in all."""
        self.wait_until(lambda: self.histories.probes >= count)

    def wait_until_down(self, *game_ids: str) -> None:
        """Waits until the log has a probe_failed of each game."""
        self.wait_until(lambda: all(self.log.events_of(game_id) for game_id in game_ids))

    async def _begin(self) -> None:
        worker = Worker(
            records=self.records,
            log=self.log,
            prober=self.prober,
            telemetry=self.histories,
            config=WorkerConfig(interval=INTERVAL, probe_timeout=TIMEOUT, failures_threshold=3),
            logger=structlog.wrap_logger(None, processors=[LogCapture()]),
            clock=lambda: datetime.now(UTC) - LONG_AGO,
        )
        self.status = RunStatus(
            config=WorkerConfig(),  # a busy machine is not to make this prober look stuck
            worker=worker.status,
            log=self.log,
            counters=self.histories,
            connections=_Connections(),
        )
        self._working = asyncio.create_task(worker.run())

    async def _listen(self) -> None:
        app = create_app(self.status, lambda: (b"", "text/plain"), token=self._token)
        self.at = await self._stack.enter_async_context(serving(app, ListenAddress("127.0.0.1", self._port)))
        self._port = int(self.at.rstrip("/").rpartition(":")[2])

    async def _end(self) -> None:
        await self._stack.aclose()
        if self._working is not None:
            self._working.cancel()
            await asyncio.gather(self._working, return_exceptions=True)

    def _do(self, work: Coroutine[Any, Any, object]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=PATIENCE)
