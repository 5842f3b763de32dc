"""The silences that a log keeps, followed: what is made or ended by a command holds everywhere within two seconds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from healthprobe._util.aio import COLLABORATOR_ERRORS, error_text, raise_if_cancelled
from healthprobe._util.safe_logging import Logger, SafeLogger
from healthprobe.domain.alarms.silence import SILENCES, Silence, SilenceIndex, silence_from_text, silence_of_record
from healthprobe.domain.record import RuntimeRecord
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

    A log that is no DocumentLog has none. A document that cannot be read silences nothing, and is named once. `listing`
    returns the records of all games, which may ask for a silence of their own; the same object while nothing changes.
    """

    def __init__(
        self,
        log: object,
        *,
        listing: Callable[[], Sequence[RuntimeRecord]] = tuple,
        logger: Logger | None = None,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._log = log if isinstance(log, DocumentLog) else None
        self._listing = listing
        self._listed: Sequence[RuntimeRecord] | None = None
        self._of_records: dict[str, Silence] = {}
        self._logger = SafeLogger(logger)
        self._clock = clock
        self._texts: Mapping[str, str] = {}
        self._known: tuple[Silence, ...] = ()
        self._index = SilenceIndex()
        self._named: set[str] = set()

    @property
    def in_force(self) -> tuple[Silence, ...]:
        """The silences that have not ended, those that end first at first; the same object while nothing changes."""
        now = self._clock()
        if self._known and self._known[0].ends_at <= now:
            self._known = tuple(each for each in self._known if now < each.ends_at)
        return self._known

    def is_silenced(self, game_id: str, host: str, labels: Mapping[str, str], now: datetime) -> bool:
        """Returns whether a game is silenced `now`, by one of the silences or by its own record."""
        own = self._silence_of_record(game_id)
        if own is not None and now < own.ends_at:
            return True
        return self._index.find(now, game_id, host, labels) is not None

    def _silence_of_record(self, game_id: str) -> Silence | None:
        if (listing := self._listing()) is not self._listed:
            self._listed = listing
            own = [silence_of_record(record) for record in listing if record.silenced_until is not None]
            self._of_records = {each.matcher.games[0]: each for each in own if each is not None}
        return self._of_records.get(game_id)

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
        self._index = SilenceIndex(self._known)
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
