"""A real worker with its status, served on loopback from a thread, for a browser."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Coroutine, Iterable, Mapping
from contextlib import AsyncExitStack
from typing import Any, Self, TypeVar

import structlog
import uvloop

from healthprobe._util.aio import background_tasks
from healthprobe._util.duration import Duration
from healthprobe.alarms.silences import Silences
from healthprobe.app.compose import canary_targets
from healthprobe.app.settings import Settings
from healthprobe.domain.event import HealthEvent
from healthprobe.domain.fleet_status import Condition
from healthprobe.domain.record import RuntimeRecord
from healthprobe.domain.schedule import AutoLanes
from healthprobe.ports import Prober
from healthprobe.probing.http import HTTPProber
from healthprobe.status.histories import Histories
from healthprobe.status.run_status import Cluster, Connections, RunStatus
from healthprobe.testing.engines import Behaviour, ScriptedEngine
from healthprobe.testing.memory import InMemoryLog, InMemoryPublisher, InMemoryRecords
from healthprobe.testing.prober import ScriptedProber
from healthprobe.testing.stage import game
from healthprobe.web.app import create_app
from healthprobe.web.listen_address import ListenAddress
from healthprobe.web.server import serving
from healthprobe.worker.relay import Relay
from healthprobe.worker.worker import Worker

Result = TypeVar("Result")

PATIENCE = 60.0
SETTINGS = Settings(interval=Duration(0.3), timeout=Duration(0.2), failures=2)
"""The default settings: a failure is detected within a second."""


class NoConnections:
    """The connections of a scripted prober."""

    open_connections = 0
    capacity = 1_000


class LiveRun:
    """Watches `engines`, real ones by their games, each on the host that is said; or `records` by `prober`'s script.
    `events` are in the log when it begins.

    `url` is where it is served. `log`, `publisher` and `prober` are what it works with.
    """

    def __init__(
        self,
        engines: Mapping[str, str] | None = None,
        *,
        records: Iterable[RuntimeRecord] = (),
        events: Iterable[HealthEvent] = (),
        prober: ScriptedProber | None = None,
        settings: Settings = SETTINGS,
        token: str | None = None,
        cluster: Cluster | None = None,
    ) -> None:
        self.url = ""
        self.log = InMemoryLog(*events)
        self.publisher = InMemoryPublisher()
        self.engines = {game_id: ScriptedEngine(host) for game_id, host in (engines or {}).items()}
        self.records = InMemoryRecords(*records)
        self._prober = prober
        self._settings = settings
        self._token = token
        self._cluster = cluster
        self._histories = Histories()
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._run = AsyncExitStack()
        self._served = AsyncExitStack()
        self._status: RunStatus | None = None
        self._listen = ListenAddress("127.0.0.1", 0)

    def __enter__(self) -> Self:
        self._thread.start()
        self.do(self._begin())
        self.serve()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop_serving()
        self.do(self._run.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        self._loop.close()

    def do(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Returns the result of `work`, done on the loop of the run."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE)

    def become(self, behaviour: Behaviour, *game_ids: str) -> None:
        """Sets the behaviour of these engines."""
        for game_id in game_ids:
            self.do(self.engines[game_id].become(behaviour))

    def until_probed(self, game_id: str) -> None:
        """Waits until this game, and so every game before it in the list, was probed."""
        while game_id not in self._histories:
            time.sleep(0.05)

    def until_down(self, games: int) -> None:
        """Waits until the status has so many games down."""
        assert self._status is not None
        while self._status.cells.count_of(Condition.DOWN) < games:
            self.do(self._status.refresh())
            time.sleep(0.05)

    def serve(self) -> None:
        """Starts to serve, each time at the same port."""
        assert self._status is not None
        app = create_app(self._status, lambda: (b"", "text/plain"), token=self._token)
        self.url = self.do(self._served.enter_async_context(serving(app, self._listen)))
        self._listen = ListenAddress("127.0.0.1", int(self.url.rstrip("/").rpartition(":")[2]))

    @property
    def port(self) -> int:
        """The port at which it is served."""
        return self._listen.port

    @property
    def streams(self) -> int:
        """How many streams of cells it serves."""
        assert self._status is not None
        return self._status._watchers

    def stop_serving(self) -> None:
        """Stops serving; the run itself goes on."""
        self.do(self._served.aclose())

    async def _begin(self) -> None:
        for game_id, engine in self.engines.items():
            await self._run.enter_async_context(engine)
            self.records.put(game(game_id, endpoint=engine.endpoint))
        if self._prober is None:
            http = await self._run.enter_async_context(HTTPProber())
            prober: Prober = http
            connections: Connections = http
        else:
            prober, connections = self._prober, NoConnections()
        histories = self._histories
        relay = Relay(
            log=self.log, publisher=self.publisher, name="webhook", telemetry=histories, logger=structlog.get_logger()
        )
        config = self._settings.worker_config(AutoLanes())
        worker = Worker(
            records=self.records,
            log=self.log,
            prober=prober,
            telemetry=histories,
            config=config,
            canaries=canary_targets(self._settings.canaries, self._settings.timeout),
            on_commit=relay.wake,
        )
        silences = Silences(self.log)
        status = RunStatus(
            config=config,
            worker=worker.status,
            log=self.log,
            counters=histories,
            connections=connections,
            cluster=self._cluster,
            silences=silences,
        )
        self._status = status
        await self._run.enter_async_context(background_tasks(worker.run(), status.run(), relay.run(), silences.run()))
