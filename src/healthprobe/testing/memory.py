"""Memory: the ports as plain lists and dicts, honest in what they promise, with switches that make them fail."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from operator import attrgetter

from healthprobe.domain.event import HealthEvent
from healthprobe.domain.record import RuntimeRecord
from healthprobe.ports import DeadLetter, HealthprobeError, LogEntry, LogError, PublishError, StoreError


class Switches:
    """What can be wrong with a collaborator. Each switch may be turned at any time and holds until it is turned back.

    `delay` is how long every call takes, in seconds. `unavailable` makes it raise the error its port allows, `broken`
    one that its port forbids (a RuntimeError): a bug of the collaborator's own.
    """

    error: type[HealthprobeError] = HealthprobeError

    def __init__(self) -> None:
        self.delay = 0.0
        self.unavailable = False
        self.broken = False

    async def pass_switches(self) -> None:
        """Wait and raise as the switches say."""
        if self.delay > 0:
            await asyncio.sleep(self.delay)
        if self.unavailable:
            raise self.error("it was switched off; switch it on again")
        if self.broken:
            raise RuntimeError("a bug, switched on for this test")


class InMemoryRecords(Switches):
    """A RuntimeRecordStore. `listed_at` tells when it was asked, in seconds of the loop's time."""

    error = StoreError

    def __init__(self, *records: RuntimeRecord) -> None:
        super().__init__()
        self.listed_at: list[float] = []
        self._records = list(records)
        self._listings: dict[str, list[RuntimeRecord]] = {}

    def put(self, *records: RuntimeRecord) -> None:
        """Insert each record, or replace the one of its game."""
        for record in records:
            others = [other for other in self._records if other.game_id != record.game_id]
            self.replace_all([*others, record])

    def remove(self, *game_ids: str) -> None:
        self.replace_all([record for record in self._records if record.game_id not in game_ids])

    def replace_all(self, records: Iterable[RuntimeRecord]) -> None:
        """List exactly these from now on, in this order; a game may be among them twice, as in a badly kept store."""
        self._records = list(records)
        self._listings.clear()

    async def list_by_status(self, status: str) -> list[RuntimeRecord]:
        self.listed_at.append(asyncio.get_running_loop().time())
        await self.pass_switches()
        if status not in self._listings:
            self._listings[status] = [record for record in self._records if record.status == status]
        return self._listings[status]


class InMemoryLog(Switches):
    """A HealthEventLog. `offered` keeps every batch that was ever offered to it, taken or not.

    `lose_acknowledgement` makes `append` commit and then raise, as when a connection breaks just after the commit. A
    batch with an event of a game in `unacceptable` is refused whole and for ever, as by a database that cannot hold it.
    """

    error = LogError

    def __init__(self, *events: HealthEvent) -> None:
        super().__init__()
        self.lose_acknowledgement = False
        self.unacceptable: set[str] = set()
        self.offered: list[tuple[HealthEvent, ...]] = []
        self.cursors: dict[str, int] = {}
        self.letters: dict[tuple[str, str], DeadLetter] = {}
        self._entries: list[LogEntry] = []
        self._of_game: dict[str, list[HealthEvent]] = {}
        self.write(*events)

    @property
    def events(self) -> list[HealthEvent]:
        """All that is in the log, in its order."""
        return [entry.event for entry in self._entries]

    def events_of(self, game_id: str) -> list[HealthEvent]:
        """One game's events, in their order."""
        return list(self._of_game.get(game_id, ()))

    def write(self, *events: HealthEvent) -> None:
        """Put these into the log at once, past all switches, as another instance would. ValueError for a gap."""
        for event in events:
            if self._compare_and_set(event) is not event:
                raise ValueError(f"{event.id} does not follow the game's last event")

    async def last_events(self, game_ids: Iterable[str]) -> Mapping[str, HealthEvent]:
        await self.pass_switches()
        return {game_id: self._of_game[game_id][-1] for game_id in game_ids if game_id in self._of_game}

    async def append(self, events: Sequence[HealthEvent]) -> Sequence[HealthEvent | None]:
        self.offered.append(tuple(events))
        await self.pass_switches()
        if refused := [event.id for event in events if event.game_id in self.unacceptable]:
            raise LogError(f"{refused[0]} will never be taken", permanent=True)
        standing = [self._compare_and_set(event) for event in events]
        if self.lose_acknowledgement:
            raise LogError("the connection broke before the acknowledgement; try again")
        return standing

    async def read(self, after: int, limit: int) -> Sequence[LogEntry]:
        await self.pass_switches()
        return self._entries[bisect_right(self._entries, after, key=attrgetter("cursor")) :][:limit]

    async def end(self) -> int:
        await self.pass_switches()
        return self._entries[-1].cursor if self._entries else 0

    async def prune(self, before: datetime, through: int) -> int:
        await self.pass_switches()
        pruned = [entry for entry in self._entries if self._may_go(entry, before, through)]
        for entry in pruned:
            self._entries.remove(entry)
            self._of_game[entry.event.game_id].remove(entry.event)
        return len(pruned)

    async def load_cursor(self, name: str) -> int | None:
        await self.pass_switches()
        return self.cursors.get(name)

    async def save_cursor(self, name: str, cursor: int) -> None:
        await self.pass_switches()
        self.cursors[name] = max(cursor, self.cursors.get(name, 0))

    async def all_cursors(self) -> Mapping[str, int]:
        await self.pass_switches()
        return dict(self.cursors)

    async def forget_cursor(self, name: str) -> bool:
        await self.pass_switches()
        return self.cursors.pop(name, None) is not None

    async def park(self, letter: DeadLetter) -> None:
        await self.pass_switches()
        self.letters[letter.publisher, letter.event.id] = letter

    async def dead_letters(self, limit: int, *, due_at: str | None = None) -> Sequence[DeadLetter]:
        await self.pass_switches()
        letters = self.letters.values()
        return [each for each in letters if due_at is None or (each.due and each.publisher == due_at)][:limit]

    async def request_replay(self) -> int:
        await self.pass_switches()
        self.letters = {key: replace(letter, due=True) for key, letter in self.letters.items()}
        return len(self.letters)

    async def release(self, letter: DeadLetter) -> None:
        await self.pass_switches()
        self.letters.pop((letter.publisher, letter.event.id), None)

    def _may_go(self, entry: LogEntry, before: datetime, through: int) -> bool:
        is_last = entry.event == self._of_game[entry.event.game_id][-1]
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


class InMemoryPublisher(Switches):
    """A HealthEventPublisher. `delivered` keeps what arrived, in order, again where it came again.

    Events whose id is in `unacceptable` are refused for ever (a permanent PublishError); those before it in the same
    batch have arrived. `lose_acknowledgement` makes it deliver all and then raise.
    """

    error = PublishError

    def __init__(self) -> None:
        super().__init__()
        self.lose_acknowledgement = False
        self.unacceptable: set[str] = set()
        self.delivered: list[HealthEvent] = []
        self.asked_at: list[float] = []

    @property
    def delivered_ids(self) -> list[str]:
        return [event.id for event in self.delivered]

    async def publish(self, events: Sequence[HealthEvent]) -> None:
        self.asked_at.append(asyncio.get_running_loop().time())
        await self.pass_switches()
        for number, event in enumerate(events):
            if event.id in self.unacceptable:
                raise PublishError(f"{event.id} will never be taken", permanent=True, delivered=number)
            self.delivered.append(event)
        if self.lose_acknowledgement:
            raise PublishError("the connection broke before the acknowledgement; try again")
