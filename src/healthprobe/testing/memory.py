"""Ports in memory, with switches that make them fail."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from healthprobe.adapters import memory
from healthprobe.domain.alarms.alert import Alert, ResolvedAlert
from healthprobe.domain.event import HealthEvent, altered_event
from healthprobe.domain.record import RuntimeRecord
from healthprobe.ports import ContentError, DeadLetter, HealthprobeError, LogEntry, LogError, PublishError, StoreError


class Switches:
    """Faults of a collaborator. Each may be switched on and off at any time.

    `delay` is how long every call takes, in seconds. `unavailable` makes every call raise the error that its port
    allows, `broken` one that its port forbids (a RuntimeError), as a bug would.
    """

    error: type[HealthprobeError] = HealthprobeError

    def __init__(self) -> None:
        self.delay = 0.0
        self.unavailable = False
        self.broken = False

    async def pass_switches(self) -> None:
        """Waits and raises as the switches say."""
        if self.delay > 0:
            await asyncio.sleep(self.delay)
        if self.unavailable:
            raise self.error("it was switched off; switch it on again")
        if self.broken:
            raise RuntimeError("a bug, switched on for this test")


class InMemoryRecords(Switches, memory.InMemoryRecords):
    """A RuntimeRecordStore with switches. `listed_at` has the times of its listings, in seconds of the loop's clock.

    A game may be listed twice, as in a badly kept store (`replace_all`).
    """

    error = StoreError

    def __init__(self, *records: RuntimeRecord) -> None:
        Switches.__init__(self)
        memory.InMemoryRecords.__init__(self, *records)
        self.listed_at: list[float] = []

    async def list_by_status(self, status: str) -> list[RuntimeRecord]:
        self.listed_at.append(asyncio.get_running_loop().time())
        await self.pass_switches()
        return await super().list_by_status(status)


class InMemoryLog(Switches, memory.InMemoryLog):
    """A HealthEventLog with switches. `offered` has every batch that was offered to it, taken or not.

    `lose_acknowledgement` makes `append` commit and then raise, as when a connection breaks just after the commit. A
    batch with an event of a game in `unacceptable` is refused whole and for good, as by a database that cannot hold it,
    and so is a question about a game in `unreadable`.
    """

    error = LogError

    def __init__(self, *events: HealthEvent) -> None:
        Switches.__init__(self)
        memory.InMemoryLog.__init__(self, *events)
        self.lose_acknowledgement = False
        self.unacceptable: set[str] = set()
        self.unreadable: set[str] = set()
        self.offered: list[tuple[HealthEvent, ...]] = []

    def alter(self, game_id: str, sequence: int) -> None:
        """Makes an event unreadable, as another program may in a log on a disk."""
        for place, entry in enumerate(self._entries):
            if (entry.event.game_id, entry.event.sequence) == (game_id, sequence):
                altered = altered_event(entry.event.as_document(), f"at {entry.cursor} in the log", "it is no JSON")
                self._entries[place] = LogEntry(entry.cursor, altered)
                events = self._of_game[game_id]
                events[events.index(entry.event)] = altered

    async def append(self, events: Sequence[HealthEvent]) -> Sequence[HealthEvent | None]:
        self.offered.append(tuple(events))
        await self.pass_switches()
        if refused := [event.id for event in events if event.game_id in self.unacceptable]:
            raise ContentError(f"{refused[0]} will never be taken")
        standing = await super().append(events)
        if self.lose_acknowledgement:
            raise LogError("the connection broke before the acknowledgement; try again")
        return standing

    async def last_events(self, game_ids: Iterable[str]) -> Mapping[str, HealthEvent]:
        asked = list(game_ids)
        await self.pass_switches()
        if refused := self.unreadable.intersection(asked):
            raise ContentError(f"{min(refused)} cannot be looked up")
        return await super().last_events(asked)

    async def read(self, after: int, limit: int) -> Sequence[LogEntry]:
        await self.pass_switches()
        return await super().read(after, limit)

    async def end(self) -> int:
        await self.pass_switches()
        return await super().end()

    async def prune(self, before: datetime, through: int) -> int:
        await self.pass_switches()
        return await super().prune(before, through)

    async def load_cursor(self, name: str) -> int | None:
        await self.pass_switches()
        return await super().load_cursor(name)

    async def save_cursor(self, name: str, cursor: int) -> None:
        await self.pass_switches()
        await super().save_cursor(name, cursor)

    async def all_cursors(self) -> Mapping[str, int]:
        await self.pass_switches()
        return await super().all_cursors()

    async def identity(self) -> str:
        await self.pass_switches()
        return await super().identity()

    async def open_incidents(self) -> Mapping[str, HealthEvent]:
        await self.pass_switches()
        return await super().open_incidents()

    async def documents(self, kind: str) -> Mapping[str, str]:
        await self.pass_switches()
        return await super().documents(kind)

    async def put_documents(self, kind: str, documents: Mapping[str, str | None]) -> None:
        await self.pass_switches()
        await super().put_documents(kind, documents)

    async def forget_cursor(self, name: str) -> bool:
        await self.pass_switches()
        return await super().forget_cursor(name)

    async def park(self, letter: DeadLetter) -> None:
        await self.pass_switches()
        await super().park(letter)

    async def dead_letters(self, limit: int, *, due_at: str | None = None) -> Sequence[DeadLetter]:
        await self.pass_switches()
        return await super().dead_letters(limit, due_at=due_at)

    async def request_replay(self) -> int:
        await self.pass_switches()
        return await super().request_replay()

    async def release(self, letter: DeadLetter) -> None:
        await self.pass_switches()
        await super().release(letter)


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


class InMemoryAlerter(Switches):
    """An Alerter. `open` has the alerts that are open there, by key; `fired` and `resolved` all that arrived, in order.

    Alerts whose key ends with an entry of `unacceptable` are refused for ever (a permanent PublishError); those before
    it in the same batch have arrived. `lose_acknowledgement` makes it take all and then raise.
    """

    error = PublishError

    def __init__(self) -> None:
        super().__init__()
        self.lose_acknowledgement = False
        self.unacceptable: set[str] = set()
        self.open: dict[str, Alert] = {}
        self.fired: list[Alert] = []
        self.resolved: list[ResolvedAlert] = []

    async def fire(self, alerts: Sequence[Alert]) -> None:
        await self.pass_switches()
        for number, alert in enumerate(alerts):
            self._check(alert, number)
            self.open[alert.key] = alert
            self.fired.append(alert)
        self._acknowledge()

    async def resolve(self, alerts: Sequence[ResolvedAlert]) -> None:
        await self.pass_switches()
        for number, over in enumerate(alerts):
            self._check(over.alert, number)
            self.open.pop(over.alert.key, None)
            self.resolved.append(over)
        self._acknowledge()

    def _check(self, alert: Alert, number: int) -> None:
        if alert.key.endswith(tuple(self.unacceptable)):
            raise PublishError(f"{alert.key} will never be taken", permanent=True, delivered=number)

    def _acknowledge(self) -> None:
        if self.lose_acknowledgement:
            raise PublishError("the connection broke before the acknowledgement; try again")
