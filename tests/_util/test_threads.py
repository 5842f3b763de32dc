"""A call on a daemon thread: its result, its error, and a caller that is cancelled."""

from __future__ import annotations

import asyncio
import threading

import pytest

from healthprobe._util.threads import run_in_daemon_thread


async def test_the_result_is_returned_from_a_daemon_thread() -> None:
    assert await run_in_daemon_thread(lambda _: threading.current_thread().daemon)


async def test_an_error_is_raised_in_the_caller() -> None:
    def fail(_: threading.Event) -> None:
        raise OSError("no")

    with pytest.raises(OSError, match="no"):
        await run_in_daemon_thread(fail)


async def test_a_cancelled_caller_ends_at_once_and_the_function_is_notified() -> None:
    started, ended = threading.Event(), threading.Event()

    def work(cancelled: threading.Event) -> None:
        started.set()
        if cancelled.wait(30):
            ended.set()

    task = asyncio.create_task(run_in_daemon_thread(work))
    assert await asyncio.to_thread(started.wait, 30)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(ended.wait, 30)
