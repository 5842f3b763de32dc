"""Retention: removes old events from the log after every publisher has received them."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from healthprobe.ports import HealthprobeError, RetentionLog
from healthprobe.worker.relay import events_behind

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

_LONGEST_PERIOD = 3600.0
_SHORTEST_PERIOD = 1.0
_PERIODS_PER_RETENTION = 10


class Retention:
    """Prunes events older than `retain` seconds, every hour or ten times in that time, whichever is more often.

    It keeps the last event of each game, which is the state of the game, and events that a publisher has not received.
    `names` are the publishers of this run. It warns once of any other publisher for which events are kept.
    """

    def __init__(self, log: RetentionLog, names: Collection[str], retain: float, logger: FilteringBoundLogger) -> None:
        self._log = log
        self._names = names
        self._retain = retain
        self._logger = logger
        self._warned: set[str] = set()
        self._period = min(max(retain / _PERIODS_PER_RETENTION, _SHORTEST_PERIOD), _LONGEST_PERIOD)

    async def run(self) -> None:
        """Prunes periodically until cancelled. Skips a period if the log is away."""
        while True:
            await asyncio.sleep(self._period)
            try:
                await self.prune()
            except HealthprobeError as error:
                self._logger.warning("old events cannot be pruned", err=str(error))

    async def prune(self) -> int:
        """Prunes once and returns the number of events removed. Raises LogError."""
        cursors = await self._log.all_cursors()
        if not cursors.keys() >= set(self._names):
            return 0  # a publisher has not begun, and gets the whole log
        end = await self._log.end()
        await self._warn_of_unknown_publishers(cursors, end)
        through = min([end, *cursors.values()])
        pruned = await self._log.prune(datetime.now(UTC) - timedelta(seconds=self._retain), through)
        if pruned:
            self._logger.info("old events pruned", events=pruned)
        return pruned

    async def _warn_of_unknown_publishers(self, cursors: Mapping[str, int], end: int) -> None:
        for name, cursor in cursors.items():
            if cursor < end and name not in self._names and name not in self._warned:
                lag = await events_behind(self._log, cursor)
                self._warned.add(name)
                self._logger.warning(
                    "events are kept for a publisher that this run does not deliver to: healthprobe relays --forget",
                    publisher=name,
                    lag=lag,
                )
