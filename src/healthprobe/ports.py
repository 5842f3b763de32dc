"""The ports: what the worker and the relay need of the world, as Protocols, and the family of errors they raise."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, runtime_checkable

from healthprobe.domain.alarms.alert import Alert, ResolvedAlert
from healthprobe.domain.event import EventType, HealthEvent
from healthprobe.domain.outcome import ProbeOutcome
from healthprobe.domain.record import RuntimeRecord
from healthprobe.domain.target import ProbeTarget


class HealthprobeError(Exception):
    """The base of all errors of this library. The message is one line that says what is wrong and what to change.

    `permanent` means that a retry cannot help.
    """

    def __init__(self, message: str, *, permanent: bool = False) -> None:
        super().__init__(message)
        self.permanent = permanent


class ConfigurationError(HealthprobeError):
    """What was asked for cannot be done. Always permanent."""

    def __init__(self, message: str) -> None:
        super().__init__(message, permanent=True)


class StoreError(HealthprobeError):
    """The runtime records cannot be read or edited."""


class LogError(HealthprobeError):
    """The log of health events cannot be read or written."""


class ContentError(LogError):
    """The log can never hold, or look up, one of the values: a character, a size. Other values are not affected."""

    def __init__(self, message: str) -> None:
        super().__init__(message, permanent=True)


class PublishError(HealthprobeError):
    """A publisher could not deliver.

    `delivered` is how many of the events, from the first on, were acknowledged before. `permanent` means that the event
    after those will never be taken: it is parked, and the others go on. `retry_after` is how long, in seconds, the bus
    asked us to wait. `code` is the bus's own word for the cause, such as 401 or READONLY, or empty: metrics have it.
    """

    def __init__(
        self,
        message: str,
        *,
        permanent: bool = False,
        delivered: int = 0,
        retry_after: float | None = None,
        code: str = "",
    ) -> None:
        super().__init__(message, permanent=permanent)
        self.delivered = delivered
        self.retry_after = retry_after
        self.code = code


class PublisherClosed(PublishError):
    """The publisher will never take an event again: its relay ends, and the log keeps the events."""

    def __init__(self, message: str) -> None:
        super().__init__(message, permanent=True)


@dataclass(frozen=True, slots=True)
class LogEntry:
    """A health event and its place in the log. Cursors increase; 0 is before the first entry.

    An event that another program altered is an AlteredEvent: a reader goes on past it, and delivers it to nobody.
    """

    cursor: int
    event: HealthEvent


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event that `publisher` (the name of its relay) refuses for good, and why.

    `parked_at` is wall time in UTC. `due` means that its replay was requested: the relay sends it once more. A letter
    that another program altered has an AlteredEvent.
    """

    publisher: str
    event: HealthEvent
    reason: str
    parked_at: datetime
    due: bool = False


class RuntimeRecordStore(Protocol):
    """Where the running games are listed."""

    async def list_by_status(self, status: str) -> list[RuntimeRecord]:
        """Returns the records that have `status` now. Raises StoreError.

        If nothing has changed since the last call, a store may return the same list object: the worker then does
        nothing per game. Callers never change the list.
        """
        ...


@runtime_checkable
class PartialRecords(Protocol):
    """A store whose listing may leave out records that cannot be read: their games still run, for all that is known."""

    @property
    def left_out(self) -> Collection[str]:
        """The games of the records that the last listing left out; "" is one whose game is not known."""
        ...


@runtime_checkable
class WatchedRecords(Protocol):
    """A store that notifies of changes: a new game is then probed at once, and not when the next tick lists it."""

    def on_change(self, callback: Callable[[], None]) -> None:
        """Calls `callback` after each change of the records."""
        ...


class WorkerLog(Protocol):
    """The log as a worker uses it. Every method raises LogError."""

    async def last_events(self, game_ids: Iterable[str]) -> Mapping[str, HealthEvent]:
        """Returns the last event of each of these games; games without events are left out.

        One that another program altered is an AlteredEvent. It fails no question, and no append.
        """
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


class ReadableLog(Protocol):
    """The log as it is read. Every method raises LogError."""

    async def read(self, after: int, limit: int) -> Sequence[LogEntry]:
        """Returns at most `limit` entries whose cursor is greater than `after`, in order."""
        ...

    async def end(self) -> int:
        """Returns the cursor of the last entry, or 0 if there is none."""
        ...


class RelayLog(ReadableLog, DeadLetterLog, Protocol):
    """The log as a relay uses it. Every method raises LogError."""

    async def load_cursor(self, name: str) -> int | None:
        """Returns the cursor saved under `name`, or None. Raises ContentError for one that cannot be read."""
        ...

    async def save_cursor(self, name: str, cursor: int) -> None:
        """Saves `cursor` under `name`, durably, unless a greater one is saved there already."""
        ...

    async def forget_cursor(self, name: str) -> bool:
        """Removes the cursor saved under `name`. Returns whether there was one."""
        ...


class RetentionLog(ReadableLog, Protocol):
    """The log as retention uses it. Every method raises LogError."""

    async def all_cursors(self) -> Mapping[str, int]:
        """Returns all saved cursors, by name."""
        ...

    async def prune(self, before: datetime, through: int) -> int:
        """Removes events that occurred before `before` and whose cursor is at most `through`.

        A game's last event is never removed. Returns how many events were.
        """
        ...


class IncidentLog(Protocol):
    """The log as alarms use it. Every method raises LogError."""

    async def open_incidents(self) -> Mapping[str, HealthEvent]:
        """Returns the last event of each game whose last event is a `probe_failed`, by game.

        One that another program altered is an AlteredEvent, as in `last_events`: its type is that of its sequence.
        """
        ...


class HealthEventLog(WorkerLog, RelayLog, RetentionLog, IncidentLog, Protocol):
    """The durable, ordered record of health events: all that the program `healthprobe` needs of a log.

    A program that embeds a worker needs less: WorkerLog, and RelayLog if it has a relay. Every method raises LogError.
    """

    async def request_replay(self) -> int:
        """Makes every dead letter due: its relay sends it once more. Returns how many there are."""
        ...


@runtime_checkable
class DocumentLog(Protocol):
    """Small documents that are kept with the log, such as silences and alerts. Every method raises LogError.

    A `kind` is a set of documents by key. Kinds and keys are text without NUL characters, of at most 1,000 characters;
    a document is text of at most 100,000, without NUL characters too (`domain.document.document_fault`).
    """

    async def documents(self, kind: str) -> Mapping[str, str]:
        """Returns all documents of `kind`, by key.

        One that another program altered is returned as the text that it is now, with U+FFFD for what is no character:
        `domain.document.read_documents` skips and names those that are not what their reader wrote.
        """
        ...

    async def put_documents(self, kind: str, documents: Mapping[str, str | None]) -> None:
        """Stores each document durably, or removes it where it is None: the last writer wins.

        Raises ContentError if it cannot hold one of them, and then stores none. After any other error some may be
        stored.
        """
        ...


@runtime_checkable
class LogIdentity(Protocol):
    """A log that can be told from every other one: two logs give the same ids to different events."""

    async def identity(self) -> str:
        """Returns a UUID that was made once and is kept in the log. Raises LogError."""
        ...


@runtime_checkable
class SourcedPublisher(Protocol):
    """A publisher whose messages say where they come from: source and id together name one event in the world."""

    def set_source(self, source: str) -> None:
        """Sets the source of all messages from now on, a URI reference."""
        ...


@runtime_checkable
class Reachable(Protocol):
    """A publisher or an alerter that can ask its server whether it is there."""

    async def reach(self) -> None:
        """Returns when the server has answered a question that changes nothing. Raises PublishError."""
        ...


class HealthEventPublisher(Protocol):
    """One way from the log to a bus."""

    async def publish(self, events: Sequence[HealthEvent]) -> None:
        """Delivers `events` in order. Returns when all are acknowledged. Raises PublishError.

        After an error more of them may have arrived than its `delivered` says: those are sent again, with the same ids.
        """
        ...


class Alerter(Protocol):
    """One way to an on-call system. Both methods raise PublishError, and both may get again what they got before."""

    async def fire(self, alerts: Sequence[Alert]) -> None:
        """Opens each alert, or updates the one with the same key. Returns when all are acknowledged."""
        ...

    async def resolve(self, alerts: Sequence[ResolvedAlert]) -> None:
        """Closes each alert. Returns when all are acknowledged. One that is not open there is no error."""
        ...


@runtime_checkable
class RepeatingAlerter(Alerter, Protocol):
    """An alerter whose system forgets alerts: all that are open are fired again and again."""

    @property
    def repeat_interval(self) -> float:
        """How many seconds after it was fired an open alert is fired again."""
        ...


@runtime_checkable
class MessageAlerter(Alerter, Protocol):
    """An alerter that sends what it gets to people as messages."""

    @property
    def takes_updates(self) -> bool:
        """Whether it is fired again whenever an open alert changes.

        False where every message is read by somebody: then only if half as many games more have failed.
        """
        ...


class ShardLeases(Protocol):
    """The shards whose games this instance probes and decides about. All times are monotonic seconds."""

    @property
    def shard_count(self) -> int:
        """The number of shards of all games. It never changes."""
        ...

    @property
    def shards(self) -> frozenset[int]:
        """The shards that are ours now; the same object as long as nothing changes."""
        ...

    @property
    def unavailable_for(self) -> float:
        """For how many seconds leases could not be renewed, if that is so long that ours have expired; else 0."""
        ...

    def covers(self, shard: int, started: float) -> bool:
        """Returns whether `shard` was ours without a break from `started` until now."""
        ...

    async def confirm(self, shards: Collection[int]) -> Collection[int]:
        """Renews the leases of `shards` and returns those that are still ours. Never raises."""
        ...

    def on_change(self, callback: Callable[[], None]) -> None:
        """Calls `callback` after each change of `shards`."""
        ...

    def set_sight(self, *, sees: bool) -> None:
        """Called when the canaries stop answering or answer again. A blind instance may give its shards to others."""
        ...

    def before_release(self, release: Callable[[frozenset[int]], Awaitable[None]]) -> None:
        """Awaits `release` with shards that are about to be given away and are no longer in `shards`."""
        ...


class Prober(Protocol):
    """Probes engines."""

    def probe(self, target: ProbeTarget) -> Awaitable[ProbeOutcome]:
        """Probes once, within `target.timeout` seconds. Never raises for what an engine does."""
        ...


@runtime_checkable
class ConnectionKeeper(Protocol):
    """A prober that keeps something for each target, such as a connection."""

    def forget(self, target: ProbeTarget) -> None:
        """Releases what is kept for `target`, which is not probed again."""
        ...


class Telemetry(Protocol):
    """Counts what the worker and the relays do. Adds integers and never waits."""

    def record_probe(self, game_id: str, outcome: ProbeOutcome, duration: float, lateness: float) -> None:
        """A probe of the game ended. It took `duration` seconds and began `lateness` seconds late."""
        ...

    def record_health_event(self, event_type: EventType) -> None:
        """The log took a health event."""
        ...

    def record_append(self, events: int, duration: float) -> None:
        """The log took `events` health events in one append of `duration` seconds."""
        ...

    def record_tick(self, games: int, duration: float, dropped: int) -> None:
        """A tick over `games` games ended after `duration` seconds, and `dropped` ticks fell due meanwhile."""
        ...

    def record_listing_error(self) -> None:
        """The store could not list its records; the last good list stays in force."""
        ...

    def record_skipped_records(self, count: int) -> None:
        """The store's last listing left out `count` records that it could not read."""
        ...

    def record_lag(self, publisher: str, events: int) -> None:
        """`events` events of the log have not been delivered by `publisher` yet."""
        ...

    def record_parked(self, publisher: str) -> None:
        """An event was parked: `publisher` refuses it for good."""
        ...

    def record_altered(self, publisher: str) -> None:
        """An event that another program altered in the log was passed over: `publisher` does not get it."""
        ...

    def record_delivery(self, publisher: str, error: str | None, code: str = "") -> None:
        """Delivery by `publisher` fails with `error` and will be tried again, or works if that is None.

        `code` is that of the PublishError, or empty.
        """
        ...
