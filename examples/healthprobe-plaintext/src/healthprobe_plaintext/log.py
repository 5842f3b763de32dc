"""A log in a file of JSON lines, with the resulting state in memory."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any, TypeVar

from healthprobe.domain.event import EventType, HealthEvent, format_instant, parse_instant
from healthprobe.ports import DeadLetter, LogEntry
from healthprobe_plaintext.journal import Journal, Line
from healthprobe_plaintext.location import path_of

Result = TypeVar("Result")


class JsonlLog:
    """A HealthEventLog that several programs may share.

    Each method first locks the file and applies the lines that others have written. So all writers decide on the same
    state, which makes `append` a compare-and-set.
    """

    def __init__(self, path: Path) -> None:
        self._journal = Journal(path)
        self._entries: list[LogEntry] = []
        self._events: dict[str, HealthEvent] = {}
        self._last: dict[str, HealthEvent] = {}
        self._cursors: dict[str, int] = {}
        self._letters: dict[tuple[str, str], DeadLetter] = {}

    async def last_events(self, game_ids: Iterable[str]) -> Mapping[str, HealthEvent]:
        wanted = set(game_ids)
        return await self._with_lock(lambda: {game: self._last[game] for game in wanted & self._last.keys()})

    async def append(self, events: Sequence[HealthEvent]) -> Sequence[HealthEvent | None]:
        return await self._with_lock(partial(self._append, events))

    async def open_incidents(self) -> Mapping[str, HealthEvent]:
        return await self._with_lock(self._open_incidents)

    async def read(self, after: int, limit: int) -> Sequence[LogEntry]:
        return await self._with_lock(lambda: self._entries[self._place_after(after) :][:limit])

    async def end(self) -> int:
        return await self._with_lock(self._end)

    async def prune(self, before: datetime, through: int) -> int:
        return await self._with_lock(partial(self._prune, before, through))

    async def load_cursor(self, name: str) -> int | None:
        return await self._with_lock(lambda: self._cursors.get(name))

    async def save_cursor(self, name: str, cursor: int) -> None:
        await self._with_lock(lambda: self._write({"relay": name, "cursor": cursor}))

    async def all_cursors(self) -> Mapping[str, int]:
        return await self._with_lock(lambda: dict(self._cursors))

    async def forget_cursor(self, name: str) -> bool:
        return await self._with_lock(lambda: self._forget_cursor(name))

    async def park(self, letter: DeadLetter) -> None:
        await self._with_lock(lambda: self._write({"parked": _letter_document(letter)}))

    async def dead_letters(self, limit: int, *, due_at: str | None = None) -> Sequence[DeadLetter]:
        letters = await self._with_lock(lambda: list(self._letters.values()))
        return [each for each in letters if due_at is None or (each.due and each.publisher == due_at)][:limit]

    async def request_replay(self) -> int:
        return await self._with_lock(self._request_replay)

    async def release(self, letter: DeadLetter) -> None:
        await self._with_lock(lambda: self._write({"delivered": letter.event.id, "to": letter.publisher}))

    def close(self) -> None:
        """Closes the file."""
        self._journal.close()

    async def _with_lock(self, work: Callable[[], Result]) -> Result:
        """Runs `work` on a thread, on the state after all lines so far. Cancellation does not stop it."""

        def locked_work() -> Result:
            with self._journal.locked():
                self._catch_up()
                return work()

        return await asyncio.to_thread(locked_work)

    def _write(self, line: Line) -> None:
        self._journal.append(line)
        self._catch_up()

    def _catch_up(self) -> None:
        self._journal.catch_up(self._apply, self._reset)

    def _append(self, events: Sequence[HealthEvent]) -> Sequence[HealthEvent | None]:
        last: dict[str, HealthEvent] = {}
        entering: list[HealthEvent] = []
        standing: list[HealthEvent | None] = []
        for event in events:
            before = last.get(event.game_id) or self._last.get(event.game_id)
            if event.sequence == (before.sequence if before else 0) + 1:
                last[event.game_id] = event
                entering.append(event)
                standing.append(event)
            else:
                standing.append(event if self._events.get(event.id) == event else before)
        if entering:
            entries = enumerate(entering, self._end() + 1)
            self._write({"entered": [[cursor, event.as_document()] for cursor, event in entries]})
        return standing

    def _request_replay(self) -> int:
        self._write({"asked_again": True})
        return len(self._letters)

    def _prune(self, before: datetime, through: int) -> int:
        kept = [entry for entry in self._entries if not self._is_prunable(entry, before, through)]
        pruned = len(self._entries) - len(kept)
        if pruned:
            self._journal.rewrite(self._lines_of(kept))
        return pruned

    def _is_prunable(self, entry: LogEntry, before: datetime, through: int) -> bool:
        is_last = self._last[entry.event.game_id] == entry.event
        return entry.cursor <= through and entry.event.occurred_at < before and not is_last

    def _lines_of(self, entries: Sequence[LogEntry]) -> list[Line]:
        """Returns the lines for `entries`, and for the cursors and dead letters."""
        return [
            {"entered": [[entry.cursor, entry.event.as_document()] for entry in entries]},
            *({"relay": name, "cursor": cursor} for name, cursor in self._cursors.items()),
            *({"parked": _letter_document(letter)} for letter in self._letters.values()),
        ]

    def _apply(self, line: Line) -> None:
        match line:
            case {"entered": entries}:
                for cursor, document in entries:
                    self._enter(LogEntry(cursor, HealthEvent.from_document(document)))
            case {"relay": name, "cursor": cursor}:
                self._cursors[name] = max(cursor, self._cursors.get(name, 0))
            case {"forgotten": name}:
                self._cursors.pop(name, None)
            case {"parked": document}:
                letter = _letter_of(document)
                self._letters[letter.publisher, letter.event.id] = letter
            case {"asked_again": True}:
                self._letters = {key: replace(letter, due=True) for key, letter in self._letters.items()}
            case {"delivered": event_id, "to": publisher}:
                self._letters.pop((publisher, event_id), None)
            case _:
                raise ValueError("a line of a newer or another program")

    def _enter(self, entry: LogEntry) -> None:
        self._entries.append(entry)
        self._events[entry.event.id] = self._last[entry.event.game_id] = entry.event

    def _reset(self) -> None:
        self._entries.clear()
        for state in (self._events, self._last, self._cursors, self._letters):
            state.clear()

    def _end(self) -> int:
        return self._entries[-1].cursor if self._entries else 0

    def _forget_cursor(self, name: str) -> bool:
        known = name in self._cursors
        if known:
            self._write({"forgotten": name})
        return known

    def _open_incidents(self) -> Mapping[str, HealthEvent]:
        return {game: event for game, event in self._last.items() if event.event_type is EventType.PROBE_FAILED}

    def _place_after(self, cursor: int) -> int:
        return bisect_right(self._entries, cursor, key=attrgetter("cursor"))


def _letter_document(letter: DeadLetter) -> dict[str, Any]:
    return {
        "publisher": letter.publisher,
        "event": letter.event.as_document(),
        "reason": letter.reason,
        "parked_at": format_instant(letter.parked_at),
        "due": letter.due,
    }


def _letter_of(document: dict[str, Any]) -> DeadLetter:
    event, parked_at = HealthEvent.from_document(document["event"]), parse_instant(document["parked_at"])
    return DeadLetter(document["publisher"], event, document["reason"], parked_at, document["due"])


@asynccontextmanager
async def open_log(url: str) -> AsyncIterator[JsonlLog]:
    """The entry point of `--log jsonl:PATH` names. The file is made at its first use."""
    log = JsonlLog(path_of(url))
    try:
        yield log
    finally:
        log.close()
