"""The games that other instances do not observe: each instance notes its own beside the log, one of them tells."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from uuid import uuid4

from healthprobe._util.aio import COLLABORATOR_ERRORS, error_text, raise_if_cancelled
from healthprobe._util.safe_logging import Logger, SafeLogger
from healthprobe.alarms.not_observed import NotObserved, WorkerObserver
from healthprobe.domain.document import read_documents
from healthprobe.domain.event import format_instant, parse_instant
from healthprobe.ports import DocumentLog
from healthprobe.worker.config import WORKER_KEY, utc_now

UNOBSERVED = "unobserved"
"""The kind of the documents."""

LOOK_INTERVAL = 5.0
"""Seconds between two looks at what is not observed, here and elsewhere."""

_WRITE_INTERVAL = 60.0
"""Seconds between two writes while nothing changes."""

_DEAD_AFTER = timedelta(seconds=3 * _WRITE_INTERVAL)
"""A note that is older is of an instance that is gone."""

_LONGEST = 50_000
"""The most characters of games in a document: a blind instance may have thousands."""

_LONGEST_CAUSE = 200


class NotObservedNotes:
    """The Observer of an instance among others: its own games, and what the others noted of theirs.

    `run` notes its own, in documents that only this run writes. What was noted by a run that is gone counts for three
    minutes more; by then another instance watches those games.
    """

    def __init__(
        self,
        log: DocumentLog,
        own: WorkerObserver,
        logger: Logger | None = None,
        *,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._log = log
        self._own = own
        self._logger = SafeLogger(logger, worker=WORKER_KEY)
        self._clock = clock
        self._key = str(uuid4())
        self._noted: frozenset[str] = frozenset()
        self._written: list[str] = []
        self._written_at = datetime.min.replace(tzinfo=clock().tzinfo)
        self._others: Mapping[str, NotObserved] = {}
        self._read_at = self._written_at
        self._is_failing = False

    @property
    def is_ready(self) -> bool:
        return self._own.is_ready

    async def not_observed(self) -> Mapping[str, NotObserved]:
        """Returns the games of all instances of which nothing was known for long. Raises LogError."""
        now = self._clock()
        if now - self._read_at >= timedelta(seconds=LOOK_INTERVAL):
            self._others, self._read_at = await self._noted_by_others(now), now
        others = {game: each for game, each in self._others.items() if not self._own.watches(game)}
        return {**others, **await self._own.not_observed()}

    def is_observed(self, game_id: str) -> bool:
        return self._own.is_observed(game_id) if self._own.watches(game_id) else game_id not in self._others

    async def run(self) -> None:
        """Notes what is not observed here, until cancelled. A log that is away is tried again."""
        while True:
            await self.write()
            await asyncio.sleep(LOOK_INTERVAL)

    async def finish(self, within: float) -> None:
        """Removes what was noted, for at most `within` seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._try_to_write({})

    async def write(self) -> None:
        """Notes what is not observed here, if that has changed or the note is a minute old. Never raises."""
        found = await self._own.not_observed()
        is_old = bool(found) and self._clock() - self._written_at >= timedelta(seconds=_WRITE_INTERVAL)
        if found.keys() != self._noted or is_old:
            await self._try_to_write(found)

    async def _try_to_write(self, found: Mapping[str, NotObserved]) -> None:
        now = self._clock()
        documents = {f"{self._key}#{number}": text for number, text in enumerate(_documents(found, now))}
        changes: dict[str, str | None] = {**dict.fromkeys(self._written), **documents}
        try:
            if changes:
                await self._log.put_documents(UNOBSERVED, changes)
        except COLLABORATOR_ERRORS as error:
            raise_if_cancelled()
            if not self._is_failing:
                self._logger.warning("games that are not observed cannot be noted", err=error_text(error))
            self._is_failing = True
        else:
            self._noted, self._written, self._written_at = frozenset(found), list(documents), now
            self._is_failing = False

    async def _noted_by_others(self, now: datetime) -> Mapping[str, NotObserved]:
        documents = await self._log.documents(UNOBSERVED)
        others = {key: text for key, text in documents.items() if key.partition("#")[0] != self._key}
        notes, _ = read_documents(others, _games_in, "note")
        return {each.game_id: each for at, games in notes.values() if now - at < _DEAD_AFTER for each in games}


def _documents(found: Mapping[str, NotObserved], now: datetime) -> Iterator[str]:
    part: list[list[str]] = []
    length = 0
    for each in found.values():
        row = [
            each.game_id,
            format_instant(each.since),
            format_instant(each.reported_from),
            each.cause[:_LONGEST_CAUSE],
            each.prober,
        ]
        longer = len(json.dumps(row, ensure_ascii=False))
        if part and length + longer > _LONGEST:
            yield json.dumps({"at": format_instant(now), "games": part}, ensure_ascii=False)
            part, length = [], 0
        part.append(row)
        length += longer
    if part:
        yield json.dumps({"at": format_instant(now), "games": part}, ensure_ascii=False)


def _games_in(text: str) -> tuple[datetime, list[NotObserved]]:
    """Returns what `_documents` wrote. Raises ValueError, TypeError or LookupError."""
    document = json.loads(text)
    games = [
        NotObserved(str(game_id), parse_instant(since), parse_instant(reported_from), str(cause), str(prober))
        for game_id, since, reported_from, cause, prober in document["games"]
    ]
    return parse_instant(document["at"]), games
