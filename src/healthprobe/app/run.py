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
from typing import TYPE_CHECKING, Any, Self

import uvloop

from healthprobe.adapters.systemd import Systemd
from healthprobe.app.compose import Parts, composed
from healthprobe.app.console import RunConsole
from healthprobe.app.observability import Observability
from healthprobe.app.self_watch import SelfWatch
from healthprobe.app.settings import Settings
from healthprobe.app.startup import raise_descriptor_limit, retry_until_available
from healthprobe.domain.event import EventType
from healthprobe.domain.record import RUNNING
from healthprobe.ports import HealthprobeError
from healthprobe.status.counters import Counters

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

STOPPING = (signal.SIGINT, signal.SIGTERM)


def exit_cleanly_at_once() -> None:
    """Makes SIGINT and SIGTERM end the process with exit code 0, until an event loop handles them."""

    def exit_now(*_: object) -> None:
        sys.exit(0)

    for number in STOPPING:
        signal.signal(number, exit_now)


class StopSignal:
    """A request to stop, by a signal or by `request`. Made in a running loop.

    A stop that hangs, on a disk or on a reader that does not read, ends the process with exit code 0 after
    `give_up_after` seconds. Nothing is lost: the next run delivers what is in the log. A second signal ends at once.
    """

    def __init__(self, give_up_after: float) -> None:
        self._give_up_after = give_up_after
        self._requested = asyncio.Event()
        self._watchdog: threading.Timer | None = None
        self._loop = asyncio.get_running_loop()
        self.requested_at = 0.0

    @property
    def remaining(self) -> float:
        """Returns the seconds left of `give_up_after`."""
        return max(self.requested_at + self._give_up_after - self._loop.time(), 0.0)

    def __enter__(self) -> Self:
        for number in STOPPING:
            self._loop.add_signal_handler(number, self._receive, number)
        return self

    def __exit__(self, *_: object) -> None:
        if self._watchdog is not None:
            self._watchdog.cancel()

    def request(self) -> None:
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
    """Runs `work` until it ends or SIGINT or SIGTERM arrives."""
    task = asyncio.create_task(work)
    loop = asyncio.get_running_loop()
    for number in STOPPING:
        loop.add_signal_handler(number, task.cancel)
    with suppress(asyncio.CancelledError):
        await task


STOP_ALLOWANCE = 1.8
"""The longest stop, in seconds beyond the probe timeout: a little less than the 2 that are documented."""

_RESERVE = 0.4
_LAST_NOTE = 0.2
"""Seconds that the log has to take the note of the last minute that was watched."""
_REPORT_INTERVAL = 60.0
_OBJECTS_BETWEEN_COLLECTIONS = 20_000
"""The threshold of the garbage collector. With the default of 700 it took a twentieth of all CPU to traverse probes in
flight, which leave no garbage."""
_LONGEST_TURN = 0.0005
"""The thread switch interval, in seconds. With Python's 5 ms the thread of a database delayed probes by half when all
engines failed at once and the log was on PostgreSQL."""
_FIRST_TICK_POLL = 0.1
_FIRST_TICK_POLLS = 100


def run_service(settings: Settings, console: RunConsole, *, duration: float | None = None) -> None:
    """Runs in an event loop of its own until SIGINT, SIGTERM, or for `duration` seconds, and stops cleanly.

    Raises HealthprobeError if the run cannot begin.
    """
    exit_cleanly_at_once()
    raise_descriptor_limit()
    sys.setswitchinterval(_LONGEST_TURN)
    uvloop.run(_serve(settings, console, duration))


async def _serve(settings: Settings, console: RunConsole, duration: float | None) -> None:
    observability = Observability(settings, console.logger)
    counters = observability.counters
    with StopSignal(give_up_after=settings.timeout + STOP_ALLOWANCE) as stop:
        async with AsyncExitStack() as stack:
            if duration is not None:
                asyncio.get_running_loop().call_later(duration, stop.request)
            async with _cancelled_by(stop) as starting:
                composing = composed(
                    settings,
                    counters=counters,
                    logger=console.logger,
                    telemetry=observability.telemetry,
                    event_format=console.event_format,
                    traceparent=observability.traceparent,
                )
                parts = await stack.enter_async_context(composing)
                running = await retry_until_available(partial(parts.records.list_by_status, RUNNING), console.logger)
            if starting.expired():
                return
            async with observability.serving(parts) as address:
                console.started(settings, len(running), address)
                await _serve_until(stop, parts, counters, console.logger, _self_watch(settings, parts, console.logger))
            open_incidents = await _open_incidents(parts, within=stop.remaining / 2)
        console.stopped(counters, open_incidents)


@asynccontextmanager
async def _cancelled_by(stop: StopSignal) -> AsyncIterator[asyncio.Timeout]:
    """Cancels the block when the stop is requested, so that a run that waits for its database can be stopped."""

    async def expire() -> None:
        await stop.wait()
        scope.reschedule(asyncio.get_running_loop().time())

    scope = asyncio.timeout(None)
    expiring = asyncio.create_task(expire())
    try:
        async with scope:
            yield scope
    except TimeoutError:
        if not scope.expired():
            raise
    finally:
        await _cancel(expiring)


def _self_watch(settings: Settings, parts: Parts, logger: FilteringBoundLogger) -> SelfWatch:
    return SelfWatch(
        parts.worker.status,
        parts.worker.config,
        heartbeat=parts.heartbeat,
        every=float(settings.heartbeat_every),
        systemd=Systemd.of_environment(os.environ, os.getpid()),
        logger=logger,
    )


async def _serve_until(
    stop: StopSignal, parts: Parts, counters: Counters, logger: FilteringBoundLogger, self_watch: SelfWatch
) -> None:
    """Runs the tasks of a run until the stop. A task that ends earlier ends the run with its error."""
    stopping = asyncio.create_task(stop.wait())
    worker = asyncio.create_task(parts.worker.run())
    others = [
        asyncio.create_task(parts.delivery.run()),
        asyncio.create_task(parts.gone_games.run()),
        asyncio.create_task(parts.watch.run()),
        asyncio.create_task(_report(counters, logger)),
        *(() if parts.notes is None else (asyncio.create_task(parts.notes.run()),)),
    ]
    leasing = None if parts.leases is None else asyncio.create_task(parts.leases.run())
    freezing = asyncio.create_task(_freeze_after_first_tick(counters))
    watching = asyncio.create_task(self_watch.run())
    silencing = asyncio.create_task(parts.silences.run())
    ended, _ = await asyncio.wait(
        {stopping, worker, *others, *([leasing] if leasing else [])}, return_when=asyncio.FIRST_COMPLETED
    )
    stop.request()
    self_watch.stopping()
    # The order matters: the worker needs its leases to write its last events; then other instances get the shards; then
    # the relays deliver the last events. A relay that is cancelled before it saves its cursor would deliver again.
    parts.watch.look()
    await _cancel(worker)
    if parts.leases is not None:
        await parts.leases.give_back_shards()
    drained = parts.delivery.drain(within=max(stop.remaining - _RESERVE, 0.1))
    noted = () if parts.notes is None else (parts.notes.finish(within=_LAST_NOTE),)
    await asyncio.gather(drained, parts.watch.finish(within=_LAST_NOTE), *noted)
    await _cancel(*others, freezing, watching, silencing, stopping)
    if parts.leases is not None and leasing is not None:
        await _cancel(leasing)
        await parts.leases.aclose()
    for task in ended - {stopping}:
        task.result()


async def _freeze_after_first_tick(counters: Counters) -> None:
    """Disables the garbage collector during the first tick, for at most ten seconds, then freezes all objects.

    Nearly all objects of the first tick stay alive. With 10,000 engines four collections in that tick took 0.5 s in
    all, up to 0.18 s at once, in which no probe started.
    """
    gc.disable()
    try:
        for _ in range(_FIRST_TICK_POLLS):
            if counters.ticks > 0:
                break
            await asyncio.sleep(_FIRST_TICK_POLL)
        gc.freeze()
    finally:
        gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
        gc.enable()


async def _open_incidents(parts: Parts, within: float) -> int | None:
    """Returns the number of open incidents; None in a cluster, or if store and log do not answer in time."""
    if parts.leases is not None:
        return None
    with suppress(HealthprobeError, TimeoutError):
        async with asyncio.timeout(within):
            running = await parts.records.list_by_status(RUNNING)
            last_events = await parts.log.last_events([record.game_id for record in running])
            return sum(event.event_type is EventType.PROBE_FAILED for event in last_events.values())
    return None


async def _cancel(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _report(counters: Counters, logger: FilteringBoundLogger) -> None:
    while True:
        await asyncio.sleep(_REPORT_INTERVAL)
        logger.debug("so far", **counters.summary())
