"""Calls on a thread that the process does not wait for as it ends."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

Result = TypeVar("Result")


async def run_in_daemon_thread(function: Callable[[threading.Event], Result]) -> Result:
    """Calls `function` in a thread of its own and returns what it returns, or raises what it raises.

    The loop's executor would not do: a process waits for its threads as it ends, and a call may be blocked for ever.
    `function` is given an event that is set when the caller is cancelled.
    """
    cancelled = threading.Event()
    outcome: Future[Result] = Future()
    outcome.set_running_or_notify_cancel()

    def run() -> None:
        try:
            outcome.set_result(function(cancelled))
        except BaseException as error:  # noqa: BLE001 -- raised in the caller
            outcome.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    try:
        return await asyncio.wrap_future(outcome)
    finally:
        cancelled.set()
