"""The relay: delivers the log's events to one publisher, from a cursor."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import groupby
from random import random

from healthprobe._util.aio import CALL_TIMEOUT, COLLABORATOR_ERRORS, error_text, raise_if_cancelled
from healthprobe._util.safe_logging import Logger, RateLimitedWarning, SafeLogger
from healthprobe._util.text import printable, shorten
from healthprobe.domain.event import AlteredEvent, HealthEvent
from healthprobe.domain.schedule import backoff
from healthprobe.ports import (
    ContentError,
    DeadLetter,
    HealthEventPublisher,
    LogEntry,
    LogError,
    PublisherClosed,
    PublishError,
    ReadableLog,
    RelayLog,
    Telemetry,
)
from healthprobe.worker.config import WORKER_KEY, utc_now
from healthprobe.worker.safe_telemetry import SafeTelemetry

_FIRST = 16
_SHORT, _LONG = 0.1, 1.0
"""Seconds: a delivery faster than _SHORT doubles the next batch, one slower than _LONG halves it."""


class BatchSize:
    """The number of events in a delivery, so that one takes a second at most: between one and `most`.

    A bus takes hundreds in milliseconds; a webhook may need a tenth of a second for each. Of a delivery that breaks off
    every event may be sent again, and a slow one must not look like a hanging one: both ask for small deliveries.
    """

    def __init__(self, most: int, monotonic: Callable[[], float]) -> None:
        self._most = most
        self._monotonic = monotonic
        self.size = min(_FIRST, most)

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Adapts the size to how long the block takes. A delivery that fails at once changes nothing."""
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
"""Up to this number events are counted one by one."""


async def events_behind(log: ReadableLog, cursor: int, read: Sequence[LogEntry] = ()) -> int:
    """Returns how many events of `log` come after `cursor`. `read` are the first of them, if known. Raises LogError.

    Up to COUNTED the number is exact. Beyond, it is an upper bound by the cursors: these have gaps, for pruned events
    and, on JetStream, for claims of shards.
    """
    entries = read if len(read) >= COUNTED else await log.read(cursor, COUNTED)
    return len(entries) if len(entries) < COUNTED else max(await log.end() - cursor, COUNTED)


BATCH = 500
"""The most events in one delivery, and in one reading of the log."""

LONGEST_WAIT = 6.0
"""The longest pause, in seconds, between two tries at a publisher that is down."""

_LONGEST_REASON = 1024
"""The most characters of the reason in a dead letter, which a publisher may quote of what its bus answered."""

_LONGEST_RETRY_AFTER = 3600.0
"""The longest pause, in seconds, that a publisher can ask for (Retry-After)."""


class Relay:
    """Delivers each event at least once, in the order of the log: the cursor advances after the acknowledgement.

    `name` is the cursor's. A publisher that is down delays only its own relay, which logs that delivery fails, once for
    each code of its errors, and once that it works again. An event that is refused for good is parked with the reason,
    and the next one follows, also where the log cannot hold the dead letter, which is logged. Parked events whose
    replay was requested are sent when the log holds nothing newer. An
    event that another program altered is skipped, and its place is logged. While its cursor cannot be saved a relay
    delivers on: an event that was acknowledged is never sent again by the same Relay. PublisherClosed ends it: the
    events stay in the log.
    """

    def __init__(
        self,
        *,
        log: RelayLog,
        publisher: HealthEventPublisher,
        name: str,
        telemetry: Telemetry | None = None,
        logger: Logger | None = None,
        poll_interval: float = 1.0,
        clock: Callable[[], datetime] = utc_now,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = log
        self._publisher = publisher
        self.name = name
        self._logger = SafeLogger(logger, worker=WORKER_KEY, publisher=name)
        self._telemetry = None if telemetry is None else SafeTelemetry(telemetry, self._logger)
        self._batch_size = BatchSize(BATCH, monotonic)
        self._parked_warning = RateLimitedWarning(self._logger, "event parked: healthprobe events --dead", monotonic)
        self._altered_warning = RateLimitedWarning(self._logger, "dead letter altered: not delivered", monotonic)
        self._poll_interval = poll_interval
        self._clock = clock
        self._wanted = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()
        self.cursor: int | None = None
        """The cursor of the last event that was delivered; None before the first delivery of a run."""
        self._acknowledged = self._saved = 0
        self._unsaved: LogError | None = None
        self._replayed: set[str] = set()
        self._refused_again: set[str] = set()
        self.lag = 0
        """How many events of the log had not been delivered when that was last measured."""
        self._retry_after = 0.0
        self._failures = 0
        self._logged_causes: set[str] = set()
        self._ended = False

    def wake(self) -> None:
        """The log has something new. It is also polled, since other instances write to it."""
        self._wanted.set()

    async def run(self) -> None:
        """Delivers as the log grows, until cancelled or until PublisherClosed. Begins at the cursor in the log."""
        self.cursor = None
        while not self._ended:
            self._wanted.clear()
            if await self._deliver():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._poll_interval):
                        await self._wanted.wait()
            elif not self._ended:
                await asyncio.sleep(max(backoff(self._failures, random(), LONGEST_WAIT), self._retry_after))
                self._failures += 1

    async def drain(self, within: float) -> None:
        """Delivers what the log holds now, for at most `within` seconds."""
        if not self._ended:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(within):
                    await self._deliver()

    async def _deliver(self) -> bool:
        """Delivers to the end of the log. False where the publisher or the log fails."""
        async with self._one_at_a_time:
            self._retry_after = 0.0
            self._unsaved = None
            try:
                await self._deliver_new()
                await self._deliver_replays()
                if self._unsaved is not None:
                    raise self._unsaved
            except COLLABORATOR_ERRORS as error:
                raise_if_cancelled()
                await self._delivery_failed(error)
                return False
            self._delivery_succeeded()
            return True

    async def _deliver_new(self) -> None:
        if self.cursor is None:
            self.cursor = self._acknowledged = max(await self._load_cursor(), self._acknowledged)
        await self._save_cursor()
        while entries := await self._log.read(self.cursor, BATCH):
            if len(entries) == BATCH:
                await self._measure_lag(entries)
            for is_altered, run in groupby(entries, _is_altered):
                if is_altered:
                    await self._skip(list(run))
                else:
                    await self._publish(list(run))

    async def _skip(self, altered: Sequence[LogEntry]) -> None:
        """Passes over events that another program altered."""
        for entry in altered:
            if isinstance(entry.event, AlteredEvent):
                self._logger.error("event altered in the log: not delivered", err=entry.event.problem)
            if self._telemetry is not None:
                self._telemetry.record_altered(self.name)
        await self._advance(altered)

    async def _load_cursor(self) -> int:
        """Returns the cursor. Saves that of a new relay, so that nothing is pruned before it was delivered.

        Where the cursor was altered, or the log begun afresh, what was delivered is not known: all is sent again, for
        else what comes next would never be sent.
        """
        cursor, altered = await known_cursor(self._log, self.name)
        if altered:
            self._logger.error("every event of the log is sent again", err=altered)
            await self._log.forget_cursor(self.name)
        if cursor is None:
            cursor = 0
            await self._log.save_cursor(self.name, cursor)
        return cursor

    async def _publish(self, entries: Sequence[LogEntry]) -> None:
        """Delivers `entries` in batches, and parks those that are refused for good."""
        while entries:
            batch = entries[: self._batch_size.size]
            try:
                with self._batch_size.measured():
                    await self._publish_and_wait([entry.event for entry in batch])
            except PublishError as refusal:
                await self._advance(entries[: refusal.delivered])
                entries = entries[refusal.delivered :]
                if not _concerns_one_event(refusal) or not entries:
                    raise
                await self._park(entries[0].event, refusal)
                await self._advance(entries[:1])
                entries = entries[1:]
            else:
                await self._advance(batch)
                entries = entries[len(batch) :]

    async def _deliver_replays(self) -> None:
        for letter in await self._log.dead_letters(BATCH, due_at=self.name):
            if isinstance(letter.event, AlteredEvent):
                self._altered_warning.warn(letter.event.problem)
                continue
            if letter.event.id in self._refused_again:
                continue
            if letter.event.id not in self._replayed:
                try:
                    await self._publish_and_wait([letter.event])
                except PublishError as refusal:
                    if not _concerns_one_event(refusal):
                        raise
                    if not await self._park(letter.event, refusal):
                        self._refused_again.add(letter.event.id)  # its letter stays due, and is tried by the next run
                    continue
                self._replayed.add(letter.event.id)
            await self._log.release(letter)
            self._replayed.discard(letter.event.id)

    async def _publish_and_wait(self, events: Sequence[HealthEvent]) -> None:
        """Publishes `events`. While a publisher does not answer, logs that delivery fails and waits on."""
        publishing = asyncio.ensure_future(self._publisher.publish(events))
        try:
            while not (await asyncio.wait({publishing}, timeout=CALL_TIMEOUT))[0]:
                await self._delivery_failed(PublishError(f"no answer for {CALL_TIMEOUT:g}s"))
        finally:
            if not publishing.done():
                publishing.cancel()
                await asyncio.gather(publishing, return_exceptions=True)
        publishing.result()

    async def _advance(self, delivered: Sequence[LogEntry]) -> None:
        if delivered:
            self.cursor = self._acknowledged = delivered[-1].cursor
            self._failures = 0
            await self._save_cursor()

    async def _save_cursor(self) -> None:
        """Saves the cursor, unless that has just failed: a log that is locked would be waited for at every batch."""
        if self._saved == self._acknowledged or self._unsaved is not None:
            return
        try:
            await self._log.save_cursor(self.name, self._acknowledged)
        except LogError as error:
            self._unsaved = error
        else:
            self._saved = self._acknowledged

    async def _park(self, event: HealthEvent, refusal: PublishError) -> bool:
        """Parks `event`; returns whether the log can hold the dead letter. The event itself stays in the log."""
        reason = shorten(printable(" ".join(error_text(refusal).split())), _LONGEST_REASON)
        problem = None
        try:
            await self._log.park(DeadLetter(self.name, event, reason, self._clock()))
        except ContentError as error:
            problem = error_text(error)
        if self._telemetry is not None:
            self._telemetry.record_parked(self.name)
        if problem is None:
            self._parked_warning.warn(reason)
            return True
        message = "event refused for good, and the log cannot hold its dead letter: not delivered"
        self._logger.error(message, game_id=event.game_id, sequence=event.sequence, err=problem, reason=reason)
        return False

    async def _measure_lag(self, read: Sequence[LogEntry] = ()) -> None:
        with contextlib.suppress(Exception):  # the event writer logs that the log is unavailable
            self._set_lag(await events_behind(self._log, self.cursor or 0, read))

    def _set_lag(self, events: int) -> None:
        self.lag = events
        if self._telemetry is not None:
            self._telemetry.record_lag(self.name, events)

    async def _delivery_failed(self, error: BaseException) -> None:
        self._ended = isinstance(error, PublisherClosed)
        self._retry_after = min(getattr(error, "retry_after", None) or 0.0, _LONGEST_RETRY_AFTER)
        self._report_delivery(error)
        if not self._ended:
            await self._measure_lag()
        if self._ended:
            self._logger.error("relay ended", err=error_text(error))
        is_log = isinstance(error, LogError)
        cause = "log" if is_log else getattr(error, "code", "")
        if not self._ended and cause not in self._logged_causes:
            message = "delivery waits for the log, will retry" if is_log else "delivery failing, will retry"
            self._logger.warning(message, err=error_text(error), lag=self.lag)
        self._logged_causes.add(cause)

    def _delivery_succeeded(self) -> None:
        self._failures = 0
        self._set_lag(0)
        self._report_delivery(None)
        if self._logged_causes:
            self._logged_causes.clear()
            self._logger.info("delivery works again")

    def _report_delivery(self, error: BaseException | None) -> None:
        if self._telemetry is None:
            return
        text = None if error is None else error_text(error)
        if isinstance(error, LogError):
            text = f"waits for the log: {text}"
        self._telemetry.record_delivery(self.name, text, getattr(error, "code", ""))


def _is_altered(entry: LogEntry) -> bool:
    return isinstance(entry.event, AlteredEvent)


def _concerns_one_event(refusal: PublishError) -> bool:
    return refusal.permanent and not isinstance(refusal, PublisherClosed)


async def known_cursor(log: RelayLog, name: str) -> tuple[int | None, str]:
    """Returns the cursor of a relay, or None where it has none, or where it was altered: then also what is wrong.

    A cursor beyond the end of the log is wrong too: the log was begun afresh. Raises LogError.
    """
    try:
        cursor = await log.load_cursor(name)
    except ContentError as error:
        return None, error_text(error)
    if cursor is None or cursor <= (end := await log.end()):
        return cursor, ""
    return None, f"the cursor is {cursor}, and the log ends at {end}"
