"""Keeps with the log when this run watched its games, so that a report can separate "up" from "nobody looked"."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING
from uuid import uuid4

from healthprobe._util.aio import COLLABORATOR_ERRORS, error_text, raise_if_cancelled
from healthprobe.domain.watch import NOTHING, WATCH, WatchedTime, readable_times, together
from healthprobe.ports import DocumentLog, HealthEventLog
from healthprobe.worker.worker_status import WorkerStatus

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

WRITE_INTERVAL = 60.0
"""Seconds between two writes: the most that a crash loses."""

LOOK_INTERVAL = 5.0
"""Seconds between two looks at whether the run watches."""

_LONGEST_GAP = 3 * LOOK_INTERVAL
"""A longer time between two looks was a pause of the process, in which nobody watched."""

_DEAD_AFTER = 10 * WRITE_INTERVAL
"""Seconds after which a run that wrote nothing is over, and the next takes over what it noted."""


class WatchRecorder:
    """Notes in a document of its own when the run watched: ticks are on time, a canary answers, and it has shards.

    Documents of runs that are over are merged into it, so that there are as many as there are runs. `part` is the fixed
    part of the fleet, as in `2/5`, or "" for all games: instances of a cluster take over from each other, so that while
    one of them watches, all games count as watched. Does nothing with a log that keeps no documents.
    """

    def __init__(
        self,
        log: HealthEventLog,
        status: WorkerStatus,
        logger: FilteringBoundLogger,
        *,
        part: str = "",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._log = log
        self._status = status
        self._logger = logger
        self._part = part
        self._clock = clock
        self._key = str(uuid4())
        self._time = NOTHING
        self._since: float | None = None
        self._looked_at = float("-inf")
        self._written_at = float("-inf")
        self._has_merged = False
        self._is_failing = False

    async def run(self) -> None:
        """Looks every few seconds and writes once a minute, until cancelled. A log that is away is tried again."""
        while True:
            self.look()
            if self._clock() - self._written_at >= WRITE_INTERVAL:
                await self.write()
            await asyncio.sleep(LOOK_INTERVAL)

    def look(self) -> None:
        """Notes that the run has watched since the last look, if it does so now and did then."""
        now = self._clock()
        if not self._status.is_watching:
            self._since = None
        elif self._since is None or not 0 <= now - self._looked_at <= _LONGEST_GAP:
            self._since = now
        else:
            self._time = self._time.with_span(self._part, (self._since, now))
        self._looked_at = now

    async def write(self) -> None:
        """Writes what was noted. Never raises, so that a report misses a minute and the run goes on."""
        if not isinstance(self._log, DocumentLog):
            return
        try:
            await self._write(self._log)
            self._is_failing = False
        except COLLABORATOR_ERRORS as error:
            raise_if_cancelled()
            if not self._is_failing:
                self._logger.warning("the time that was watched cannot be noted", err=error_text(error))
            self._is_failing = True

    async def finish(self, within: float) -> None:
        """Writes once more, for at most `within` seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self.write()

    async def _write(self, log: DocumentLog) -> None:
        now = self._clock()
        over: list[WatchedTime] = []
        changes: dict[str, str | None] = {}
        if not self._has_merged:
            for key, noted in readable_times(await log.documents(WATCH)).items():
                if key != self._key and noted.last < now - _DEAD_AFTER:
                    over.append(noted)
                    changes[key] = None
        merged = together([*over, self._time])
        if merged == NOTHING:
            return
        await log.put_documents(WATCH, {self._key: merged.as_document()})
        if changes:  # after the other, so that a crash between them leaves the time twice, and not never
            await log.put_documents(WATCH, changes)
        self._time, self._has_merged, self._written_at = merged, True, now
