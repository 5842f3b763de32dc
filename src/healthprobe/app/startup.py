"""What a run does before it begins: raise the limit of open files, wait for what is away."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Awaitable, Callable
from random import random
from typing import TypeVar

from structlog.typing import FilteringBoundLogger

from healthprobe.domain.schedule import backoff
from healthprobe.ports import HealthprobeError

_LONGEST_WAIT = 5.0

Opened = TypeVar("Opened")


async def patiently(open_it: Callable[[], Awaitable[Opened]], logger: FilteringBoundLogger) -> Opened:
    """What `open_it` gives, tried again as long as it raises an error that may pass; each new one is said once.

    A machine that comes up brings its databases and its prober in any order. Raises HealthprobeError where trying again
    cannot help.
    """
    failures = 0
    told = ""
    while True:
        try:
            opened = await open_it()
        except HealthprobeError as error:
            if error.permanent:
                raise
            if str(error) != told:
                told = str(error)
                logger.warning("waiting for what this run needs", err=told)
            await asyncio.sleep(backoff(failures, random(), _LONGEST_WAIT))
            failures += 1
        else:
            if told:
                logger.warning("it is there: the run begins")
            return opened


def raise_descriptor_limit() -> None:
    """As many open files as the system lets us have: one connection an engine is kept open."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
