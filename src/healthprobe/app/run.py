"""A run from its start to its clean stop."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from typing import Any, Self

import uvloop
from structlog.typing import FilteringBoundLogger

from healthprobe.app.compose import Parts, composed
from healthprobe.app.console import Audience
from healthprobe.app.observability import Showing
from healthprobe.app.settings import Settings
from healthprobe.app.startup import patiently, raise_descriptor_limit
from healthprobe.domain.event import EventType
from healthprobe.domain.record import RUNNING
from healthprobe.ports import HealthprobeError
from healthprobe.status.counters import Counters

STOPPING = (signal.SIGINT, signal.SIGTERM)


def exit_cleanly_at_once() -> None:
    """A signal ends the process with exit code 0, for as long as no loop listens for signals."""

    def exit_now(*_: object) -> None:
        sys.exit(0)

    for number in STOPPING:
        signal.signal(number, exit_now)


class StopSignal:
    """Waits for a request to stop, in a running loop.

    `give_up_after` is in seconds from the request: a stop that hangs, on a disk or on a reader that has gone to sleep,
    ends with exit code 0 then. Nothing is lost by it: what is in the log is delivered by the next run.
    """

    def __init__(self, give_up_after: float) -> None:
        self._give_up_after = give_up_after
        self._requested = asyncio.Event()
        self._watchdog: threading.Timer | None = None
        self._loop = asyncio.get_running_loop()
        self.requested_at = 0.0

    @property
    def remaining(self) -> float:
        """Seconds left of `give_up_after`."""
        return max(self.requested_at + self._give_up_after - self._loop.time(), 0.0)

    def __enter__(self) -> Self:
        for number in STOPPING:
            self._loop.add_signal_handler(number, self._receive, number)
        return self

    def __exit__(self, *_: object) -> None:
        if self._watchdog is not None:
            self._watchdog.cancel()

    def request(self) -> None:
        """Ask for the stop, from inside."""
        if self._requested.is_set():
            return
        self.requested_at = self._loop.time()
        self._watchdog = threading.Timer(self._give_up_after, os._exit, (0,))
        self._watchdog.daemon = True
        self._watchdog.start()
        self._requested.set()

    async def wait(self) -> None:
        await self._requested.wait()

    def _receive(self, number: int) -> None:
        if self._requested.is_set():
            os._exit(128 + number)
        self.request()


async def until_signal(work: Coroutine[Any, Any, None]) -> None:
    """Do `work` until it ends, or until SIGINT or SIGTERM: either is a good end."""
    task = asyncio.create_task(work)
    loop = asyncio.get_running_loop()
    for number in STOPPING:
        loop.add_signal_handler(number, task.cancel)
    with suppress(asyncio.CancelledError):
        await task


STOP_ALLOWANCE = 1.8
"""Seconds beyond the probe timeout after which a stop is over, whatever hangs: a little less than the 2 promised."""

_RESERVE = 0.4
_REPORT_INTERVAL = 60.0
_OBJECTS_BETWEEN_COLLECTIONS = 20_000
"""New objects between two looks of the garbage collector: at the default of 700 it took a twentieth of all CPU to look
at probes in flight, which leave no garbage."""
_LONGEST_TURN = 0.0005
"""How long, in seconds, a database's thread goes on where the loop wants its turn. With Python's 5 ms probes were later
by half when all engines failed at once and the log was on PostgreSQL."""
_SETTLING_POLL = 0.1
_SETTLING_POLLS = 100


def run_service(settings: Settings, audience: Audience, *, duration: float | None = None) -> None:
    """Serve on a loop of its own until SIGINT, SIGTERM, or for `duration` seconds, and stop cleanly.

    Raises HealthprobeError where the run cannot begin.
    """
    exit_cleanly_at_once()
    raise_descriptor_limit()
    sys.setswitchinterval(_LONGEST_TURN)
    uvloop.run(_serve(settings, audience, duration))


async def _serve(settings: Settings, audience: Audience, duration: float | None) -> None:
    showing = Showing(settings, audience.logger)
    tally = showing.tally
    with StopSignal(give_up_after=settings.timeout + STOP_ALLOWANCE) as stop:
        async with AsyncExitStack() as stack:
            if duration is not None:
                asyncio.get_running_loop().call_later(duration, stop.request)
            async with _given_up_at(stop) as beginning:
                composing = composed(
                    settings,
                    telemetry=showing.telemetry,
                    logger=audience.logger,
                    line=audience.line,
                    traceparent=showing.traceparent,
                )
                parts = await stack.enter_async_context(composing)
                running = await patiently(partial(parts.records.list_by_status, RUNNING), audience.logger)
            if beginning.expired():
                return
            async with showing.of(parts) as address:
                audience.started(settings, len(running), address)
                await _serve_until(stop, parts, tally, audience.logger)
            open_incidents = await _open_incidents(parts, within=stop.remaining / 2)
        audience.stopped(tally, open_incidents)


@asynccontextmanager
async def _given_up_at(stop: StopSignal) -> AsyncIterator[asyncio.Timeout]:
    """Leave what is done inside as soon as the stop comes: a run that waits for its database can be ended."""

    async def give_up() -> None:
        await stop.wait()
        scope.reschedule(asyncio.get_running_loop().time())

    scope = asyncio.timeout(None)
    giving_up = asyncio.create_task(give_up())
    try:
        async with scope:
            yield scope
    except TimeoutError:
        if not scope.expired():
            raise
    finally:
        await _cancelled(giving_up)


async def _serve_until(stop: StopSignal, parts: Parts, tally: Counters, logger: FilteringBoundLogger) -> None:
    """The tasks of a run. Only a stop ends them; one that ends by itself ends the run, with its error."""
    stopping = asyncio.create_task(stop.wait())
    worker = asyncio.create_task(parts.worker.run())
    others = [asyncio.create_task(parts.duties.run()), asyncio.create_task(_report(tally, logger))]
    leasing = None if parts.leases is None else asyncio.create_task(parts.leases.run())
    settling = asyncio.create_task(_settle_memory(tally))
    ended, _ = await asyncio.wait(
        {stopping, worker, *others, *([leasing] if leasing else [])}, return_when=asyncio.FIRST_COMPLETED
    )
    stop.request()
    # The order matters: what the worker commits as it stops needs its leases, others wait for the shards, what was
    # committed is still to be delivered, and a relay that is cancelled between a delivery and its note of it would
    # deliver again.
    await _cancelled(worker)
    if parts.leases is not None:
        await parts.leases.give_back_shards()
    await parts.duties.drain(within=max(stop.remaining - _RESERVE, 0.1))
    await _cancelled(*others, settling, stopping)
    if parts.leases is not None and leasing is not None:
        await _cancelled(leasing)
        await parts.leases.aclose()
    for task in ended - {stopping}:
        task.result()


async def _settle_memory(tally: Counters) -> None:
    """Keep the garbage collector away from what the first tick makes, nearly all of which stays.

    With 10,000 engines it would look through everything four times in that tick, for 0.5 s in all and up to 0.18 s at
    once, in which no probe starts. A tick that lasts longer than ten seconds is none that has to hurry.
    """
    gc.disable()
    try:
        for _ in range(_SETTLING_POLLS):
            if tally.ticks > 0:
                break
            await asyncio.sleep(_SETTLING_POLL)
        gc.freeze()
    finally:
        gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
        gc.enable()


async def _open_incidents(parts: Parts, within: float) -> int | None:
    """How many of the running games are in an incident; None where store and log do not tell within so many seconds.

    In a cluster, too: the games of all the others are not ours to ask for.
    """
    if parts.leases is not None:
        return None
    with suppress(HealthprobeError, TimeoutError):
        async with asyncio.timeout(within):
            running = await parts.records.list_by_status(RUNNING)
            last_events = await parts.log.last_events([record.game_id for record in running])
            return sum(event.event_type is EventType.PROBE_FAILED for event in last_events.values())
    return None


async def _cancelled(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _report(tally: Counters, logger: FilteringBoundLogger) -> None:
    while True:
        await asyncio.sleep(_REPORT_INTERVAL)
        logger.debug("so far", **tally.summary())
