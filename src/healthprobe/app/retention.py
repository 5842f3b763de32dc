"""Retention: old events leave the log, once every publisher has had them."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta

from structlog.typing import FilteringBoundLogger

from healthprobe.ports import HealthprobeError, RetentionLog
from healthprobe.worker.relay import events_behind

_LONGEST_PERIOD = 3600.0
_SHORTEST_PERIOD = 1.0
_PERIODS_PER_RETENTION = 10


class Retention:
    """Prunes events older than `retain` seconds, every hour or ten times in that time, whichever is more often.

    A game's last event stays for ever, for it is the game's state; and what a publisher has not had stays until it has,
    whichever run delivers to it. `names` are the publishers of this run: others that hold events back are told of.
    """

    def __init__(self, log: RetentionLog, names: Collection[str], retain: float, logger: FilteringBoundLogger) -> None:
        self._log = log
        self._names = names
        self._retain = retain
        self._logger = logger
        self._told: set[str] = set()
        self._period = min(max(retain / _PERIODS_PER_RETENTION, _SHORTEST_PERIOD), _LONGEST_PERIOD)

    async def run(self) -> None:
        """Prune now and then, until cancelled. A log that is away is pruned the next time."""
        while True:
            await asyncio.sleep(self._period)
            try:
                await self.prune()
            except HealthprobeError as error:
                self._logger.warning("old events cannot be pruned", err=str(error))

    async def prune(self) -> int:
        """Prune once; how many events that were. Raises LogError."""
        cursors = await self._log.all_cursors()
        if not cursors.keys() >= set(self._names):
            return 0  # one has not begun, and is to have all there is
        end = await self._log.end()
        await self._tell_of_strangers_behind(cursors, end)
        through = min([end, *cursors.values()])
        pruned = await self._log.prune(datetime.now(UTC) - timedelta(seconds=self._retain), through)
        if pruned:
            self._logger.info("old events pruned", events=pruned)
        return pruned

    async def _tell_of_strangers_behind(self, cursors: Mapping[str, int], end: int) -> None:
        for name, cursor in cursors.items():
            if cursor < end and name not in self._names and name not in self._told:
                lag = await events_behind(self._log, cursor)
                self._told.add(name)
                self._logger.warning(
                    "events are kept for a publisher that this run does not deliver to: healthprobe relays --forget",
                    publisher=name,
                    lag=lag,
                )
