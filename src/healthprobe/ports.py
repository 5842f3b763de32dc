"""What the worker needs of the world, as Protocols, and the one family of errors that crosses these borders."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

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
    """A publisher could not deliver. `permanent` means that this event will never be taken."""


@dataclass(frozen=True, slots=True)
class LogEntry:
    """A health event and its place in the log. Cursors grow with the order of the log; 0 is before the first entry."""

    cursor: int
    event: HealthEvent


class RuntimeRecordStore(Protocol):
    """Where the running games are listed."""

    async def list_by_status(self, status: str) -> list[RuntimeRecord]:
        """The records that have `status` now. Raises StoreError.

        A store that knows that nothing has changed since the last call may return the very same list again, and the
        worker then does nothing per game; callers never change the list.
        """
        ...


class HealthEventLog(Protocol):
    """The durable, ordered record of health events. Every method raises LogError."""

    async def last_events(self, game_ids: Iterable[str]) -> Mapping[str, HealthEvent]:
        """The last event of each of these games; games without events are left out."""
        ...

    async def append(self, events: Sequence[HealthEvent]) -> Sequence[HealthEvent | None]:
        """Compare-and-set: an event enters only if its sequence is the last of its game + 1.

        Returns, for each event in order, what stands: the event itself where it entered (or had entered already, with
        the same content), otherwise the last event of its game, or None where the game has none. All that enter do so
        in one transaction.
        """
        ...

    async def read(self, after: int, limit: int) -> Sequence[LogEntry]:
        """At most `limit` entries whose cursor is greater than `after`, in order."""
        ...

    async def load_cursor(self, name: str) -> int:
        """The cursor saved under `name`, or 0."""
        ...

    async def save_cursor(self, name: str, cursor: int) -> None:
        """Remember `cursor` under `name`, durably."""
        ...


class HealthEventPublisher(Protocol):
    """One way from the log to a bus."""

    async def publish(self, events: Sequence[HealthEvent]) -> None:
        """Deliver `events` in order; returns when all are acknowledged. Raises PublishError.

        After an error some of them may have been delivered: they come again, with the same ids.
        """
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

    def record_probe(self, outcome: ProbeOutcome, duration: float, lateness: float) -> None:
        """One probe was judged: it took `duration` seconds and began `lateness` seconds after it was due."""
        ...

    def record_health_event(self, event_type: EventType) -> None:
        """The log took one health event."""
        ...

    def record_tick(self, games: int, duration: float, dropped: int) -> None:
        """A tick over `games` games ended after `duration` seconds; `dropped` ticks came due meanwhile."""
        ...

    def record_listing_error(self) -> None:
        """The store could not list its records; the last good list stays in force."""
        ...
