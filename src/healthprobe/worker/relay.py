"""The relay: moves events from the log to one publisher, and remembers in the log how far it got."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from random import random

from structlog.typing import FilteringBoundLogger

from healthprobe.domain.schedule import backoff
from healthprobe.ports import HealthEventLog, HealthEventPublisher, LogEntry, PublishError
from healthprobe.worker.bystanders import Voice
from healthprobe.worker.fault import FAULTS, end_if_cancelled, plainly

BATCH = 500
"""The most events in one delivery."""

_LONGEST_WAIT = 30.0


class Relay:
    """At least once, in the order of the log: the cursor advances after the publisher's acknowledgement.

    `name` is the cursor's. A publisher that is down holds up nothing but its own relay, which says once that it is
    stuck and once that it is through. One that will never take an event (a permanent error) ends its relay: the event
    and all that follow stay in the log.
    """

    def __init__(
        self,
        *,
        log: HealthEventLog,
        publisher: HealthEventPublisher,
        name: str,
        logger: FilteringBoundLogger | None = None,
        poll_interval: float = 1.0,
    ) -> None:
        self._log = log
        self._publisher = publisher
        self._name = name
        self._logger = Voice(logger, publisher=name)
        self._poll_interval = poll_interval
        self._wanted = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()
        self._cursor: int | None = None
        self._stuck = False
        self._ended = False

    def wake(self) -> None:
        """The log has something new. Others write to it too, so it is looked at every poll interval as well."""
        self._wanted.set()

    async def run(self) -> None:
        """Deliver as the log grows, until cancelled or until the publisher is found to be gone for good."""
        failures = 0
        while not self._ended:
            self._wanted.clear()
            if await self._deliver():
                failures = 0
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wanted.wait(), self._poll_interval)
            elif not self._ended:
                await asyncio.sleep(backoff(failures, random(), _LONGEST_WAIT))
                failures += 1

    async def drain(self, within: float) -> None:
        """Deliver what the log holds now, for at most `within` seconds."""
        if not self._ended:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._deliver(), within)

    async def _deliver(self) -> bool:
        """Deliver to the log's end; False where the publisher or the log does not let us."""
        async with self._one_at_a_time:
            try:
                if self._cursor is None:
                    self._cursor = await self._log.load_cursor(self._name)
                while entries := await self._log.read(self._cursor, BATCH):
                    await self._publish(entries)
            except FAULTS as error:
                end_if_cancelled()
                self._tell_that_it_is_stuck(error)
                return False
            self._tell_that_it_is_through()
            return True

    async def _publish(self, entries: Sequence[LogEntry]) -> None:
        await self._publisher.publish([entry.event for entry in entries])
        cursor = entries[-1].cursor
        await self._log.save_cursor(self._name, cursor)
        self._cursor = cursor

    def _tell_that_it_is_stuck(self, error: BaseException) -> None:
        self._ended = isinstance(error, PublishError) and error.permanent
        if self._ended or not self._stuck:
            self._stuck = True
            tell = self._logger.error if self._ended else self._logger.warning
            tell("relay ended" if self._ended else "relay is stuck", err=plainly(error))

    def _tell_that_it_is_through(self) -> None:
        if self._stuck:
            self._stuck = False
            self._logger.info("relay is through again")
