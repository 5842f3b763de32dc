"""Finds hangs and leaks, which raise no exception by themselves."""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

PATIENCE = 1.0
"""How long one input may take, in seconds of this process's CPU time, whatever else runs on the machine."""

_WAITING = 10.0
"""How many times as long it may take in wall time: code that waits for ever uses no CPU."""

_PAGE = os.sysconf("SC_PAGE_SIZE")


class Hung(BaseException):
    """An input took too long. A BaseException, which a parser's `except Exception` cannot hide."""


@contextmanager
def watchdog() -> Iterator[None]:
    """Lets `armed` end code that takes too long. Enter it on the main thread."""

    def bark(_: int, __: FrameType | None) -> None:
        raise Hung

    before = {number: signal.signal(number, bark) for number in (signal.SIGVTALRM, signal.SIGALRM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class armed:  # noqa: N801  read as a word: with armed(1.0)
    """Raises Hung if the code inside takes longer than `seconds`. C code ends first."""

    __slots__ = ("_began", "_seconds")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def __enter__(self) -> None:
        self._began = time.process_time()
        signal.setitimer(signal.ITIMER_VIRTUAL, self._seconds)
        signal.setitimer(signal.ITIMER_REAL, self._seconds * _WAITING)

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        if time.process_time() - self._began > 2 * self._seconds:
            raise Hung


def memory() -> int:
    """Returns the memory of this process in bytes, after freeing what can be freed."""
    gc.collect()
    with suppress(OSError, AttributeError):  # only glibc has it; without it the figure is slightly larger
        ctypes.CDLL(None).malloc_trim(0)
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE
