"""The end of incidents whose games no longer run: a note with the log, or a `probe_ended` in it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from healthprobe._util.aio import COLLABORATOR_ERRORS, error_text, raise_if_cancelled
from healthprobe.domain.alarms.gone import GONE, GoneIncident, gone_incidents
from healthprobe.domain.event import HealthEvent, ProbeFailedDetails
from healthprobe.domain.shard import shard_of
from healthprobe.ports import DocumentLog, HealthEventLog
from healthprobe.worker.config import utc_now
from healthprobe.worker.worker import Worker

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

_PAGE = 1_000


class GoneGames:
    """Follows the log, and ends the open incidents of games that are gone, those of this instance's shards.

    Each gets a note with the log, which `incidents` and `status` read; the note is removed when its game is listed
    again. With `writes_events` the log gets a `probe_ended` instead.
    """

    def __init__(
        self,
        log: HealthEventLog,
        worker: Worker,
        logger: FilteringBoundLogger,
        *,
        writes_events: bool = False,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._log = log
        self._worker = worker
        self._logger = logger
        self._writes_events = writes_events
        self._clock = clock
        self._cursor: int | None = None
        self._open: dict[str, HealthEvent] = {}
        self._notes: dict[tuple[str, int], GoneIncident] | None = None
        self._is_failing = False

    async def run(self) -> None:
        """Looks once an interval, until cancelled. What fails is logged once, and tried again."""
        while True:
            await asyncio.sleep(self._worker.config.interval)
            try:
                await self.update()
                self._is_failing = False
            except COLLABORATOR_ERRORS as error:
                raise_if_cancelled()
                if not self._is_failing:
                    self._logger.warning("incidents of games that are gone stay open for now", err=error_text(error))
                self._is_failing = True

    async def update(self) -> None:
        """Reads what is new in the log, and ends the incidents of games that are gone by now. Raises LogError."""
        await self._catch_up()
        ours = {game_id: failed for game_id, failed in self._open.items() if self._is_ours(game_id)}
        gone = await self._worker.status.gone_games(ours)
        if self._writes_events:
            self._worker.end_incidents([ours[game_id] for game_id in sorted(gone)])
            gone = frozenset()
        if isinstance(self._log, DocumentLog):
            await self._update_notes(self._log, [ours[game_id] for game_id in sorted(gone)])

    async def _catch_up(self) -> None:
        if self._cursor is None:
            cursor = await self._log.end()
            self._open = dict(await self._log.open_incidents())
            self._cursor = cursor
        while page := await self._log.read(self._cursor, _PAGE):
            for entry in page:
                event = entry.event
                if event.sequence < 1:  # it was altered, and could be any event
                    continue
                if isinstance(event.details, ProbeFailedDetails):
                    self._open[event.game_id] = event
                else:
                    self._open.pop(event.game_id, None)
            self._cursor = page[-1].cursor

    async def _update_notes(self, log: DocumentLog, gone: Collection[HealthEvent]) -> None:
        """Adds notes about these incidents, and removes those of games that are back or whose incident is over."""
        if self._notes is None:
            self._notes = gone_incidents(await log.documents(GONE))
        now, notes = self._clock(), dict(self._notes)
        changes: dict[str, str | None] = {}
        for failed in gone:
            if (failed.game_id, failed.sequence) not in notes:
                note = GoneIncident.of(failed, now)
                notes[failed.game_id, failed.sequence] = note
                changes[note.key] = note.as_document()
                self._logger.info("incident ended: the game no longer runs", game_id=failed.game_id)
        for outdated in self._outdated(notes):
            del notes[outdated.game_id, outdated.sequence]
            changes[outdated.key] = None
        if changes:
            await log.put_documents(GONE, changes)
        self._notes = notes

    def _outdated(self, notes: Mapping[tuple[str, int], GoneIncident]) -> list[GoneIncident]:
        running = self._worker.status.target_set.by_id
        return [
            note
            for (game_id, sequence), note in notes.items()
            if self._is_ours(game_id)
            and (game_id in running or game_id not in self._open or self._open[game_id].sequence != sequence)
        ]

    def _is_ours(self, game_id: str) -> bool:
        target_set = self._worker.status.target_set
        return target_set.shards is None or shard_of(game_id, target_set.shard_count) in target_set.shards
