"""The relay: delivers the log's events to one publisher, from a cursor."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from random import random

from structlog.typing import FilteringBoundLogger

from healthprobe._util.aio import CALL_TIMEOUT, COLLABORATOR_ERRORS, error_text, raise_if_cancelled
from healthprobe.domain.event import HealthEvent
from healthprobe.domain.schedule import backoff
from healthprobe.ports import (
    DeadLetter,
    HealthEventLog,
    HealthEventPublisher,
    LogEntry,
    PublisherClosed,
    PublishError,
    Telemetry,
)
from healthprobe.worker.safe_logging import RateLimitedWarning, SafeLogger, SafeTelemetry

_FIRST = 16
_SHORT, _LONG = 0.1, 1.0
"""A delivery that took less, in seconds, is followed by one twice as large, and one that took more by half as large."""


class Pace:
    """So many that a delivery takes a second at the most, between one and `most`.

    A bus takes hundreds in milliseconds; a webhook may take a tenth of a second for each. What a delivery that is torn
    had got through comes again, and a publisher that is slow is none that does not answer: both want small ones.
    `monotonic` tells seconds.
    """

    def __init__(self, most: int, monotonic: Callable[[], float]) -> None:
        self._most = most
        self._monotonic = monotonic
        self.size = min(_FIRST, most)

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Learn from the delivery that is made inside; one that fails at once tells nothing."""
        began = self._monotonic()
        succeeded = False
        try:
            yield
            succeeded = True
        finally:
            took = self._monotonic() - began
            if took > _LONG:
                self.size = max(self.size // 2, 1)
            elif succeeded and took < _SHORT:
                self.size = min(self.size * 2, self._most)


COUNTED = 500
"""So many events are counted one by one."""


async def events_behind(log: HealthEventLog, cursor: int, read: Sequence[LogEntry] = ()) -> int:
    """How many events of `log` come after `cursor`; `read` are the first of them, where somebody has them. LogError.

    Cursors grow from event to event, and not by one: claims of shards stand between them on JetStream, and what was
    pruned is missing. Few events are counted, so that one is never called hundreds; of more, this is the most that
    there can be.
    """
    entries = read if len(read) >= COUNTED else await log.read(cursor, COUNTED)
    return len(entries) if len(entries) < COUNTED else max(await log.end() - cursor, COUNTED)


BATCH = 500
"""The most events in one delivery, and in one reading of the log."""

LONGEST_WAIT = 6.0
"""The longest pause, in seconds, between two tries at a publisher that is down: when it is back, what it missed is on
its way within this time."""

_LONGEST_WAIT_ASKED_FOR = 3600.0
"""A bus that asks us to stay away for longer (Retry-After) is asked again after this time, in seconds."""


def utc_now() -> datetime:
    return datetime.now(UTC)


class Relay:
    """At least once, in the order of the log: the cursor advances after the publisher's acknowledgement.

    `name` is the cursor's. A publisher that is down holds up nothing but its own relay, which says once that it is
    stuck and once that it is through. An event that is refused for good is parked with the reason, and the next one has
    its turn; parked events that were asked for again are sent when the log holds nothing newer. Only a publisher that
    is gone for good ends its relay: the events stay in the log.
    """

    def __init__(
        self,
        *,
        log: HealthEventLog,
        publisher: HealthEventPublisher,
        name: str,
        telemetry: Telemetry | None = None,
        logger: FilteringBoundLogger | None = None,
        poll_interval: float = 1.0,
        clock: Callable[[], datetime] = utc_now,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = log
        self._publisher = publisher
        self.name = name
        self._logger = SafeLogger(logger, publisher=name)
        self._telemetry = None if telemetry is None else SafeTelemetry(telemetry, self._logger)
        self._pace = Pace(BATCH, monotonic)
        self._parked = RateLimitedWarning(self._logger, "event parked: healthprobe events --dead", monotonic)
        self._poll_interval = poll_interval
        self._clock = clock
        self._wanted = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()
        self.cursor: int | None = None
        """How far it got, once it has begun."""
        self.lag = 0
        """How many events of the log had not reached the publisher when that was last looked at."""
        self._pause_asked_for = 0.0
        self._failures = 0
        self._stuck = False
        self._ended = False

    def wake(self) -> None:
        """The log has something new. Others write to it too, so it is looked at every poll interval as well."""
        self._wanted.set()

    async def run(self) -> None:
        """Deliver as the log grows, until cancelled or until the publisher is found to be gone for good.

        It begins where the log says that whoever delivered last has got to.
        """
        self.cursor = None
        while not self._ended:
            self._wanted.clear()
            if await self._deliver():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._poll_interval):
                        await self._wanted.wait()
            elif not self._ended:
                await asyncio.sleep(max(backoff(self._failures, random(), LONGEST_WAIT), self._pause_asked_for))
                self._failures += 1

    async def drain(self, within: float) -> None:
        """Deliver what the log holds now, for at most `within` seconds."""
        if not self._ended:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(within):
                    await self._deliver()

    async def _deliver(self) -> bool:
        """Deliver to the log's end; False where the publisher or the log does not let us."""
        async with self._one_at_a_time:
            self._pause_asked_for = 0.0
            try:
                await self._deliver_what_is_new()
                await self._deliver_what_was_asked_for_again()
            except COLLABORATOR_ERRORS as error:
                raise_if_cancelled()
                await self._get_stuck(error)
                return False
            self._get_through()
            return True

    async def _deliver_what_is_new(self) -> None:
        if self.cursor is None:
            self.cursor = await self._begun()
        while entries := await self._log.read(self.cursor, BATCH):
            if len(entries) == BATCH:
                await self._measure_lag(entries)
            await self._publish(entries)

    async def _begun(self) -> int:
        """The cursor; a relay that never ran before is noted in the log, which then prunes nothing it has not had."""
        cursor = await self._log.load_cursor(self.name)
        if cursor is None:
            cursor = 0
            await self._log.save_cursor(self.name, cursor)
        return cursor

    async def _publish(self, entries: Sequence[LogEntry]) -> None:
        """Deliver `entries`, as many at once as the publisher is good for, or park those that are refused for good."""
        while entries:
            batch = entries[: self._pace.size]
            try:
                with self._pace.measured():
                    await self._acknowledged([entry.event for entry in batch])
            except PublishError as refusal:
                await self._advance(entries[: refusal.delivered])
                entries = entries[refusal.delivered :]
                if not _is_about_an_event(refusal) or not entries:
                    raise
                await self._park(entries[0].event, refusal)
                await self._advance(entries[:1])
                entries = entries[1:]
            else:
                await self._advance(batch)
                entries = entries[len(batch) :]

    async def _deliver_what_was_asked_for_again(self) -> None:
        for letter in await self._log.dead_letters(BATCH, due_at=self.name):
            try:
                await self._acknowledged([letter.event])
            except PublishError as refusal:
                if not _is_about_an_event(refusal):
                    raise
                await self._park(letter.event, refusal)
            else:
                await self._log.release(letter)

    async def _acknowledged(self, events: Sequence[HealthEvent]) -> None:
        """Publish; a publisher that does not answer for long is said to be stuck, and waited for all the same."""
        publishing = asyncio.ensure_future(self._publisher.publish(events))
        try:
            while not (await asyncio.wait({publishing}, timeout=CALL_TIMEOUT))[0]:
                await self._get_stuck(PublishError(f"no answer for {CALL_TIMEOUT:g}s"))
        finally:
            if not publishing.done():
                publishing.cancel()
                await asyncio.gather(publishing, return_exceptions=True)
        publishing.result()

    async def _advance(self, delivered: Sequence[LogEntry]) -> None:
        if delivered:
            await self._log.save_cursor(self.name, delivered[-1].cursor)
            self.cursor = delivered[-1].cursor
            self._failures = 0

    async def _park(self, event: HealthEvent, refusal: PublishError) -> None:
        await self._log.park(DeadLetter(self.name, event, error_text(refusal), self._clock()))
        self._parked.tell(error_text(refusal))
        if self._telemetry is not None:
            self._telemetry.record_parked(self.name)

    async def _measure_lag(self, read: Sequence[LogEntry] = ()) -> None:
        with contextlib.suppress(Exception):  # a log that is away is said to be so where it is needed
            self._note_lag(await events_behind(self._log, self.cursor or 0, read))

    def _note_lag(self, events: int) -> None:
        self.lag = events
        if self._telemetry is not None:
            self._telemetry.record_lag(self.name, events)

    async def _get_stuck(self, error: BaseException) -> None:
        self._ended = isinstance(error, PublisherClosed)
        self._pause_asked_for = min(getattr(error, "retry_after", None) or 0.0, _LONGEST_WAIT_ASKED_FOR)
        if not self._ended:
            await self._measure_lag()
        if self._ended:
            self._logger.error("relay ended", err=error_text(error))
        elif not self._stuck:
            self._logger.warning("relay is stuck", err=error_text(error), lag=self.lag)
        self._stuck = True

    def _get_through(self) -> None:
        self._failures = 0
        self._note_lag(0)
        if self._stuck:
            self._stuck = False
            self._logger.info("relay is through again")


def _is_about_an_event(refusal: PublishError) -> bool:
    return refusal.permanent and not isinstance(refusal, PublisherClosed)


async def begin_at_the_end(log: HealthEventLog, name: str) -> None:
    """Let the relay `name`, if it has never run, begin with what comes after now. Raises LogError."""
    if await log.load_cursor(name) is None:
        await log.save_cursor(name, await log.end())
