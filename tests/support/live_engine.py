"""An engine in a thread of its own, whose behaviour a test changes as it goes."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Coroutine
from typing import Any, Self

from tests.support.waiting import PATIENCE

from healthprobe.testing.engines import Behaviour, ScriptedEngine


class LiveEngine:
    """A ScriptedEngine for tests that are not coroutines."""

    def __init__(self) -> None:
        self._engine = ScriptedEngine()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self) -> Self:
        self._thread.start()
        self._do(self._engine.__aenter__())
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._engine.__aexit__())
        self._do(self._all_accepted())
        self._do(self._loop.shutdown_default_executor())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def endpoint(self) -> str:
        return self._engine.endpoint

    @property
    def probes(self) -> int:
        """How many probes have come."""
        return self._engine.requests

    def become(self, behaviour: Behaviour) -> None:
        self._do(self._engine.become(behaviour))

    def wait_for_probes(self, count: int) -> None:
        """Waits until `count` more probes have come."""
        enough = self._engine.requests + count
        while self._engine.requests < enough:
            time.sleep(0.01)

    async def _all_accepted(self) -> None:
        """Waits for the tasks in which asyncio still accepts connections of the last moment."""
        await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}), return_exceptions=True)
        await asyncio.sleep(0)

    def _do(self, work: Coroutine[Any, Any, object]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=PATIENCE)
