"""Signals: the first SIGINT or SIGTERM asks for a clean stop, the second ends the process at once."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Self

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
