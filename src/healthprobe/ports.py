"""What the worker needs of the world, as Protocols, and the one family of errors that crosses these borders."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, runtime_checkable

from healthprobe.domain.event import EventType, HealthEvent
from healthprobe.domain.outcome import ProbeOutcome
from healthprobe.domain.record import RuntimeRecord
from healthprobe.domain.target import ProbeTarget


class HealthprobeError(Exception):
    """The family. The message is one line that says what is wrong and what to change.

    `permanent` tells that trying again cannot help; all else is worth a retry.
    """

    def __init__(self, message: str, *, permanent: bool = False) -> None:
        super().__init__(message)
        self.permanent = permanent


class ConfigurationError(HealthprobeError):
    """What the user asked for cannot be done as asked. Always permanent."""

    def __init__(self, message: str) -> None:
        super().__init__(message, permanent=True)


class StoreError(HealthprobeError):
    """The runtime records cannot be read or edited."""


class LogError(HealthprobeError):
    """The log of health events cannot be read or written."""


class PublishError(HealthprobeError):
    """A publisher could not deliver.

    `delivered` is how many of the events, from the first on, were acknowledged before. `permanent` means that the event
    after those will never be taken: it is parked, and the others go on. `retry_after` is how long, in seconds, the bus
    asked us to wait.
    """

    def __init__(
        self, message: str, *, permanent: bool = False, delivered: int = 0, retry_after: float | None = None
    ) -> None:
        super().__init__(message, permanent=permanent)
        self.delivered = delivered
        self.retry_after = retry_after


class PublisherClosed(PublishError):
    """Nobody will ever take an event here again, whichever it is: its relay ends, and the log keeps the events."""

    def __init__(self, message: str) -> None:
        super().__init__(message, permanent=True)


@dataclass(frozen=True, slots=True)
class LogEntry:
    """A health event and its place in the log. Cursors grow with the order of the log; 0 is before the first entry."""

    cursor: int
    event: HealthEvent


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event that `publisher` (the name of its relay) refuses for good, and why.

    `parked_at` is wall time in UTC. `due` tells that it was asked for again: the relay sends it once more.
    """

    publisher: str
    event: HealthEvent
    reason: str
    parked_at: datetime
    due: bool = False


class RuntimeRecordStore(Protocol):
    """Where the running games are listed."""

    async def list_by_status(self, status: str) -> list[RuntimeRecord]:
        """The records that have `status` now. Raises StoreError.

        A store that knows that nothing has changed since the last call may return the very same list again, and the
        worker then does nothing per game; callers never change the list.
        """
        ...


@runtime_checkable
class WatchedRecords(Protocol):
    """A store that tells of changes: what starts is then probed at once, and not when the next tick lists it."""

    def on_change(self, tell: Callable[[], None]) -> None:
        """Call `tell` after the records have changed."""
        ...


class WorkerLog(Protocol):
    """The log as a worker uses it. Every method raises LogError."""

    async def last_events(self, game_ids: Iterable[str]) -> Mapping[str, HealthEvent]:
        """Returns the last event of each of these games; games without events are left out."""
        ...

    async def append(self, events: Sequence[HealthEvent]) -> Sequence[HealthEvent | None]:
        """Appends by compare-and-set: an event enters only if its sequence is the last of its game + 1.

        Returns, for each event in order, the event that stands in the log: the event itself if it entered (or had
        entered already, with the same content), otherwise the last event of its game, or None if the game has none. All
        events that enter do so in one transaction.
        """
        ...


class DeadLetterLog(Protocol):
    """The log as the place of dead letters. Every method raises LogError."""

    async def park(self, letter: DeadLetter) -> None:
        """Stores `letter` durably. It replaces an earlier one about the same event and publisher."""
        ...

    async def dead_letters(self, limit: int, *, due_at: str | None = None) -> Sequence[DeadLetter]:
        """Returns at most `limit` dead letters in the order in which their events were parked first.

        With `due_at`, only those that the publisher of this name is to be sent again.
        """
        ...

    async def release(self, letter: DeadLetter) -> None:
        """Removes `letter`: its event was delivered after all."""
        ...


class RelayLog(DeadLetterLog, Protocol):
    """The log as a relay uses it. Every method raises LogError."""

    async def read(self, after: int, limit: int) -> Sequence[LogEntry]:
        """Returns at most `limit` entries whose cursor is greater than `after`, in order."""
        ...

    async def end(self) -> int:
        """Returns the cursor of the last entry, or 0 if there is none."""
        ...

    async def load_cursor(self, name: str) -> int | None:
        """Returns the cursor saved under `name`, or None."""
        ...

    async def save_cursor(self, name: str, cursor: int) -> None:
        """Saves `cursor` under `name`, durably, unless a greater one is saved there already."""
        ...


class RetentionLog(Protocol):
    """The log as retention uses it. Every method raises LogError."""

    async def read(self, after: int, limit: int) -> Sequence[LogEntry]:
        """Returns at most `limit` entries whose cursor is greater than `after`, in order."""
        ...

    async def end(self) -> int:
        """Returns the cursor of the last entry, or 0 if there is none."""
        ...

    async def all_cursors(self) -> Mapping[str, int]:
        """Returns all saved cursors, by name."""
        ...

    async def prune(self, before: datetime, through: int) -> int:
        """Removes events that occurred before `before` and whose cursor is at most `through`.

        A game's last event is never removed. Returns how many events were.
        """
        ...


class HealthEventLog(WorkerLog, RelayLog, RetentionLog, Protocol):
    """The durable, ordered record of health events: all that the program `healthprobe` needs of a log.

    A program that embeds a worker needs less: WorkerLog, and RelayLog if it has a relay. Every method raises LogError.
    """

    async def forget_cursor(self, name: str) -> bool:
        """Removes the cursor saved under `name`. Returns whether there was one."""
        ...

    async def request_replay(self) -> int:
        """Makes every dead letter due: its relay sends it once more. Returns how many there are."""
        ...


class HealthEventPublisher(Protocol):
    """One way from the log to a bus."""

    async def publish(self, events: Sequence[HealthEvent]) -> None:
        """Deliver `events` in order; returns when all are acknowledged. Raises PublishError.

        After an error more of them may have arrived than it tells: those come again, with the same ids.
        """
        ...


class ShardLeases(Protocol):
    """Which shards are ours to probe and to decide about, and since when. All times are monotonic seconds."""

    @property
    def shard_count(self) -> int:
        """How many shards all games are spread over: always the same."""
        ...

    @property
    def shards(self) -> frozenset[int]:
        """Those that are ours now: the very same object as long as nothing changes."""
        ...

    @property
    def unavailable_for(self) -> float:
        """For how many seconds whoever gives the shards is away, so long that what we had has lapsed; else 0."""
        ...

    def covers(self, shard: int, started: float) -> bool:
        """Whether `shard` was ours without a break from `started` until now."""
        ...

    async def confirm(self, shards: Collection[int]) -> Collection[int]:
        """Those of `shards` that are still ours by the word of whoever gives them, asked just now. Never raises."""
        ...

    def on_change(self, tell: Callable[[], None]) -> None:
        """Call `tell` after `shards` has changed."""
        ...

    def before_release(self, settle: Callable[[frozenset[int]], Awaitable[None]]) -> None:
        """Await `settle` with the shards that we are about to give away, when `shards` has none of them any more."""
        ...


class Prober(Protocol):
    """Asks one engine for its health."""

    def probe(self, target: ProbeTarget) -> Awaitable[ProbeOutcome]:
        """One probe, within `target.timeout` seconds. Never raises for what an engine does."""
        ...

    def forget(self, target: ProbeTarget) -> None:
        """`target` is not probed again: let go of what is kept for it."""
        ...


class Telemetry(Protocol):
    """Counts. Adds integers and never waits."""

    def record_probe(self, game_id: str, outcome: ProbeOutcome, duration: float, lateness: float) -> None:
        """One probe of the game was judged: it took `duration` seconds and began `lateness` seconds late."""
        ...

    def record_health_event(self, event_type: EventType) -> None:
        """The log took one health event."""
        ...

    def record_append(self, events: int, duration: float) -> None:
        """The log took `events` health events together, which took `duration` seconds."""
        ...

    def record_tick(self, games: int, duration: float, dropped: int) -> None:
        """A tick over `games` games ended after `duration` seconds; `dropped` ticks came due meanwhile."""
        ...

    def record_listing_error(self) -> None:
        """The store could not list its records; the last good list stays in force."""
        ...

    def record_skipped_records(self, count: int) -> None:
        """The store's last listing left out `count` records that it could not read."""
        ...

    def record_lag(self, publisher: str, events: int) -> None:
        """So many events of the log have not reached `publisher` yet."""
        ...

    def record_parked(self, publisher: str) -> None:
        """One event was parked: `publisher` refuses it for good."""
        ...
