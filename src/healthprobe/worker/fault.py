"""The fault: what a collaborator raised, told apart from our own end."""

from __future__ import annotations

import asyncio

FAULTS = (Exception, asyncio.CancelledError)
"""What a collaborator may raise: CancelledError too, where an inner task of its own was cancelled and not we."""

LONGEST_CALL = 30.0
"""How long, in seconds, a call of a store or a log may hang before it is given up and made again."""


def end_if_cancelled() -> None:
    """Raise CancelledError where the running task was asked to end; to be called first where FAULTS are caught."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def plainly(fault: BaseException) -> str:
    """The fault's own words, or its name where it has none."""
    return str(fault) or type(fault).__name__
