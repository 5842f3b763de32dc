"""The silences that a log keeps, followed: what is made or ended by a command holds everywhere within two seconds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from healthprobe._util.aio import COLLABORATOR_ERRORS, error_text, raise_if_cancelled
from healthprobe._util.safe_logging import Logger, SafeLogger
from healthprobe.domain.silence import SILENCES, Silence, silence_from_text
from healthprobe.ports import DocumentLog
from healthprobe.worker.config import utc_now

READ_INTERVAL = 1.0
"""Seconds between two readings of the silences."""

_PATIENCE = 5.0
"""The longest time, in seconds, that a reading may take."""

_KEPT = timedelta(days=1)
"""How long a silence that has ended stays in the log."""


class Silences:
    """The silences in force. While the log is away, those that were read last stay in force until they end.

    A log that is no DocumentLog has none. A document that cannot be read silences nothing, and is named once.
    """

    def __init__(self, log: object, *, logger: Logger | None = None, clock: Callable[[], datetime] = utc_now) -> None:
        self._log = log if isinstance(log, DocumentLog) else None
        self._logger = SafeLogger(logger)
        self._clock = clock
        self._texts: Mapping[str, str] = {}
        self._known: tuple[Silence, ...] = ()
        self._named: set[str] = set()

    @property
    def in_force(self) -> tuple[Silence, ...]:
        """The silences that have not ended, those that end first at first; the same object while nothing changes."""
        now = self._clock()
        if self._known and self._known[0].ends_at <= now:
            self._known = tuple(each for each in self._known if now < each.ends_at)
        return self._known

    async def run(self) -> None:
        """Reads the silences once a second until cancelled. Never raises."""
        failing = ""
        while True:
            try:
                async with asyncio.timeout(_PATIENCE):
                    await self.refresh()
                failing = ""
            except COLLABORATOR_ERRORS as error:
                raise_if_cancelled()
                if error_text(error) != failing:
                    failing = error_text(error)
                    self._logger.warning("silences cannot be read, the last ones stay in force", err=failing)
            await asyncio.sleep(READ_INTERVAL)

    async def refresh(self) -> None:
        """Reads the silences once. Removes those from the log that ended a day ago. Raises LogError."""
        if self._log is None:
            return
        texts = await self._log.documents(SILENCES)
        if texts == self._texts:
            return
        known, now = self._read(texts), self._clock()
        self._texts = texts
        self._known = tuple(sorted((each for each in known if now < each.ends_at), key=lambda each: each.ends_at))
        if forgotten := [each.id for each in known if each.ends_at + _KEPT < now]:
            await self._log.put_documents(SILENCES, dict.fromkeys(forgotten))

    def _read(self, texts: Mapping[str, str]) -> list[Silence]:
        known = []
        for silence_id, text in texts.items():
            try:
                known.append(silence_from_text(silence_id, text))
            except ValueError as error:
                if silence_id not in self._named:
                    self._named.add(silence_id)
                    self._logger.warning("a silence cannot be read, it silences nothing", id=silence_id, err=str(error))
        return known
