"""Who watches the watcher: heartbeats and systemd's watchdog, sent only while this instance works."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Protocol

from healthprobe._util.aio import background_tasks
from healthprobe._util.text import counted
from healthprobe.adapters.systemd import Systemd
from healthprobe.domain.hysteresis import Standing
from healthprobe.ports import PublishError
from healthprobe.status.trouble import trouble_of
from healthprobe.worker.config import WorkerConfig
from healthprobe.worker.worker_status import WorkerStatus

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

_POLL = 0.05
_STATUS_INTERVAL = 5.0
_HEARTBEAT_PATIENCE = 15.0
_WATCHDOG_SHARE = 0.5


class Heartbeat(Protocol):
    """Something that is sent to a service again and again."""

    async def send(self) -> None:
        """Sends one. Raises PublishError."""
        ...


class SelfWatch:
    """Notifies a heartbeat service and systemd that a prober works: that it probes, sees, and its log takes events.

    That is the condition of /healthz. Neither of them begins before the first listing of games is in force. A heartbeat
    is sent `every` so many seconds.
    """

    def __init__(
        self,
        worker: WorkerStatus,
        config: WorkerConfig,
        *,
        heartbeat: Heartbeat | None = None,
        every: float = 60.0,
        systemd: Systemd | None = None,
        logger: FilteringBoundLogger,
    ) -> None:
        self._worker = worker
        self._config = config
        self._heartbeat = heartbeat
        self._every = every
        self._systemd = systemd
        self._logger = logger
        self._is_stopping = False

    async def run(self) -> None:
        """Sends both until cancelled. Never raises."""
        while not self._worker.has_listing:  # noqa: ASYNC110  for a moment, once
            await asyncio.sleep(_POLL)
        async with AsyncExitStack() as stack:
            if self._systemd is not None:
                await self._become_ready(self._systemd)
                await stack.enter_async_context(background_tasks(self._show_status(self._systemd)))
                if self._systemd.watchdog is not None:
                    feeding = self._feed_watchdog(self._systemd, self._systemd.watchdog * _WATCHDOG_SHARE)
                    await stack.enter_async_context(background_tasks(feeding))
            if self._heartbeat is not None:
                await stack.enter_async_context(background_tasks(self._send_heartbeats(self._heartbeat)))
            await asyncio.Event().wait()

    def stopping(self) -> None:
        """Notifies systemd that the stop has begun. Nothing is sent after that: that the worker ends is no trouble."""
        self._is_stopping = True
        if self._systemd is not None:
            self._systemd.notify(STOPPING=1, STATUS="stopping")

    async def _become_ready(self, systemd: Systemd) -> None:
        while not systemd.notify(READY=1, STATUS=self._status):  # noqa: ASYNC110  systemd is busy, once
            await asyncio.sleep(_POLL)

    async def _show_status(self, systemd: Systemd) -> None:
        shown = ""
        while not self._is_stopping:
            if (status := self._status) != shown and systemd.notify(STATUS=status):
                shown = status
            await asyncio.sleep(_STATUS_INTERVAL)

    async def _feed_watchdog(self, systemd: Systemd, every: float) -> None:
        starving = ""
        while not self._is_stopping:
            trouble = trouble_of(self._worker, self._config)
            if trouble is None:
                systemd.notify(WATCHDOG=1)
            elif not starving:
                self._logger.error(
                    "in trouble: systemd's watchdog gets nothing, and will restart this", err=str(trouble)
                )
            starving = "" if trouble is None else trouble.what
            await asyncio.sleep(every)

    async def _send_heartbeats(self, heartbeat: Heartbeat) -> None:
        failing = ""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while not self._is_stopping:
            if trouble_of(self._worker, self._config) is None:
                failure = await _failure_of(heartbeat, min(self._every, _HEARTBEAT_PATIENCE))
                if failure and failure != failing:
                    self._logger.warning("heartbeat failing, going on", err=failure)
                elif failing and not failure:
                    self._logger.info("heartbeat arrives again")
                failing = failure
            due = max(due + self._every, loop.time())
            await asyncio.sleep(due - loop.time())

    @property
    def _status(self) -> str:
        """The state in one line. Everybody on the machine may read it, so it is without the words of the log."""
        trouble = trouble_of(self._worker, self._config)
        if trouble is not None:
            return f"in trouble: {trouble.what}"
        down = sum(state.standing is Standing.OPEN for state in self._worker.states.values())
        return f"{counted(len(self._worker.target_set), 'game')} watched, {down:,} down"


async def _failure_of(heartbeat: Heartbeat, within: float) -> str:
    """Sends a heartbeat. Returns why it failed, or nothing."""
    try:
        async with asyncio.timeout(within):
            await heartbeat.send()
    except PublishError as error:
        return str(error)
    except TimeoutError:
        return f"no answer within {within:g}s"
    except Exception as error:  # noqa: BLE001  a bug of it must end no run
        return f"{type(error).__name__}: {error}"
    return ""
