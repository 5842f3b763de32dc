"""What a run does before it begins: raises the limit of open files, and waits for a store or a log that is away."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Awaitable, Callable
from random import random
from typing import TYPE_CHECKING, TypeVar

from healthprobe.domain.schedule import backoff
from healthprobe.ports import HealthprobeError

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

_LONGEST_WAIT = 5.0

Opened = TypeVar("Opened")


async def retry_until_available(open_it: Callable[[], Awaitable[Opened]], logger: FilteringBoundLogger) -> Opened:
    """Returns what `open_it` returns, retried after errors that are not permanent. Logs each new error once.

    When a machine boots, its databases may start after the run. Raises HealthprobeError for a permanent error.
    """
    failures = 0
    logged = ""
    while True:
        try:
            opened = await open_it()
        except HealthprobeError as error:
            if error.permanent:
                raise
            if str(error) != logged:
                logged = str(error)
                logger.warning("waiting for a store or a log", err=logged)
            await asyncio.sleep(backoff(failures, random(), _LONGEST_WAIT))
            failures += 1
        else:
            if logged:
                logger.warning("available: the run begins")
            return opened


def raise_descriptor_limit() -> None:
    """Raises the limit of open files as far as the system allows: one connection per engine is kept open."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
