"""The errand: a blocking call on a thread of its own, for which nobody has to wait as the program ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

Result = TypeVar("Result")


async def on_errand(work: Callable[[], Result]) -> Result:
    """What `work` returns or raises. Whoever is cancelled meanwhile leaves it to itself.

    The loop's own threads are waited for when it closes, and a collector that hangs would hold up the stop.
    """
    errand: Future[Result] = Future()
    errand.set_running_or_notify_cancel()

    def run() -> None:
        try:
            result = work()
        except Exception as error:  # noqa: BLE001  whatever it is, it is raised where it is awaited
            errand.set_exception(error)
        else:
            errand.set_result(result)

    Thread(target=run, name="errand", daemon=True).start()
    return await asyncio.wrap_future(errand)
