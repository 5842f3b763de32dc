"""The watch over one input and over many: neither a hang nor a leak is an exception, and both are found here."""

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
"""How long one input may take, in seconds of this process's own CPU: what else runs on the machine is not its fault."""

_WAITING = 10.0
"""How many times as long it may take by the clock on the wall: one that waits for ever uses no CPU."""

_PAGE = os.sysconf("SC_PAGE_SIZE")


class Hung(BaseException):
    """An input took longer than it may. No parser's `except Exception` can hide it."""


@contextmanager
def watchdog() -> Iterator[None]:
    """While the context lasts, `armed` ends what takes too long. To be entered on the main thread."""

    def bark(_: int, __: FrameType | None) -> None:
        raise Hung

    before = {number: signal.signal(number, bark) for number in (signal.SIGVTALRM, signal.SIGALRM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class armed:  # noqa: N801  read as a word: with armed(1.0)
    """Raises Hung where what is done inside takes longer than `seconds`; C code is let end before."""

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
    """What this process holds in memory, in bytes, after what can be given back was given back."""
    gc.collect()
    with suppress(OSError, AttributeError):  # only glibc has it; without it the figure is a little larger
        ctypes.CDLL(None).malloc_trim(0)
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE
