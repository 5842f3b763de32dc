"""A store and a log in memory, for programs that embed a worker and keep nothing. Imports domain and ports."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from operator import attrgetter
from uuid import uuid4

from healthprobe.domain.document import document_fault
from healthprobe.domain.event import EventType, HealthEvent
from healthprobe.domain.record import RuntimeRecord
from healthprobe.ports import ContentError, DeadLetter, LogEntry


class InMemoryRecords:
    """A RuntimeRecordStore in memory. A change is seen at the worker's next tick, or at once after `Worker.refresh`."""

    def __init__(self, *records: RuntimeRecord) -> None:
        self._records = list(records)
        self._listings: dict[str, list[RuntimeRecord]] = {}

    def put(self, *records: RuntimeRecord) -> None:
        """Adds each record, or replaces the one of its game."""
        by_game = {record.game_id: record for record in records}
        others = [record for record in self._records if record.game_id not in by_game]
        self.replace_all([*others, *by_game.values()])

    def remove(self, *game_ids: str) -> None:
        """Removes the records of these games."""
        self.replace_all([record for record in self._records if record.game_id not in game_ids])

    def replace_all(self, records: Iterable[RuntimeRecord]) -> None:
        """Replaces all records by these, in this order."""
        self._records = list(records)
        self._listings.clear()

    async def list_by_status(self, status: str) -> list[RuntimeRecord]:
        if status not in self._listings:  # the same list while nothing changes: the worker then has nothing to compare
            self._listings[status] = [record for record in self._records if record.status == status]
        return self._listings[status]


class InMemoryLog:
    """A HealthEventLog in memory. It begins with `events`, and its content ends with the process.

    Raises ValueError for an event that does not follow the last one of its game.
    """

    def __init__(self, *events: HealthEvent) -> None:
        self._identity = str(uuid4())
        self.cursors: dict[str, int] = {}
        self.letters: dict[tuple[str, str], DeadLetter] = {}
        self._documents: dict[str, dict[str, str]] = {}
        self._entries: list[LogEntry] = []
        self._of_game: dict[str, list[HealthEvent]] = {}
        self.write(*events)

    @property
    def events(self) -> list[HealthEvent]:
        """All events, in the order of the log."""
        return [entry.event for entry in self._entries]

    def events_of(self, game_id: str) -> list[HealthEvent]:
        """Returns the events of a game, in order."""
        return list(self._of_game.get(game_id, ()))

    def write(self, *events: HealthEvent) -> None:
        """Appends `events`. Raises ValueError for one that does not follow the last event of its game."""
        for event in events:
            if self._compare_and_set(event) is not event:
                raise ValueError(f"{event.id} does not follow the game's last event")

    async def last_events(self, game_ids: Iterable[str]) -> Mapping[str, HealthEvent]:
        return {game_id: self._of_game[game_id][-1] for game_id in game_ids if game_id in self._of_game}

    async def append(self, events: Sequence[HealthEvent]) -> Sequence[HealthEvent | None]:
        return [self._compare_and_set(event) for event in events]

    async def open_incidents(self) -> Mapping[str, HealthEvent]:
        last_events = (events[-1] for events in self._of_game.values())
        return {event.game_id: event for event in last_events if event.event_type is EventType.PROBE_FAILED}

    async def read(self, after: int, limit: int) -> Sequence[LogEntry]:
        return self._entries[bisect_right(self._entries, after, key=attrgetter("cursor")) :][:limit]

    async def end(self) -> int:
        return self._entries[-1].cursor if self._entries else 0

    async def prune(self, before: datetime, through: int) -> int:
        pruned = [entry for entry in self._entries if self._is_prunable(entry, before, through)]
        for entry in pruned:
            self._entries.remove(entry)
            self._of_game[entry.event.game_id].remove(entry.event)
        return len(pruned)

    async def load_cursor(self, name: str) -> int | None:
        return self.cursors.get(name)

    async def save_cursor(self, name: str, cursor: int) -> None:
        self.cursors[name] = max(cursor, self.cursors.get(name, 0))

    async def all_cursors(self) -> Mapping[str, int]:
        return dict(self.cursors)

    async def identity(self) -> str:
        return self._identity

    async def documents(self, kind: str) -> Mapping[str, str]:
        return dict(self._documents.get(kind, {}))

    async def put_documents(self, kind: str, documents: Mapping[str, str | None]) -> None:
        if fault := document_fault(kind, documents):
            raise ContentError(f"the log in memory: {fault}")
        kept = self._documents.setdefault(kind, {})
        for key, document in documents.items():
            if document is None:
                kept.pop(key, None)
            else:
                kept[key] = document

    async def forget_cursor(self, name: str) -> bool:
        return self.cursors.pop(name, None) is not None

    async def park(self, letter: DeadLetter) -> None:
        self.letters[letter.publisher, letter.event.id] = letter

    async def dead_letters(self, limit: int, *, due_at: str | None = None) -> Sequence[DeadLetter]:
        letters = self.letters.values()
        return [each for each in letters if due_at is None or (each.due and each.publisher == due_at)][:limit]

    async def request_replay(self) -> int:
        self.letters = {key: replace(letter, due=True) for key, letter in self.letters.items()}
        return len(self.letters)

    async def release(self, letter: DeadLetter) -> None:
        self.letters.pop((letter.publisher, letter.event.id), None)

    def _is_prunable(self, entry: LogEntry, before: datetime, through: int) -> bool:
        is_last = entry.event is self._of_game[entry.event.game_id][-1]
        return entry.cursor <= through and entry.event.occurred_at < before and not is_last

    def _compare_and_set(self, event: HealthEvent) -> HealthEvent | None:
        events = self._of_game.get(event.game_id, [])
        if event.sequence == (events[-1].sequence if events else 0) + 1:
            self._of_game.setdefault(event.game_id, events).append(event)
            self._entries.append(LogEntry(self._entries[-1].cursor + 1 if self._entries else 1, event))
            return event
        if event in events:
            return event
        return events[-1] if events else None
