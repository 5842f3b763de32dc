"""The clock: an event loop whose time jumps to the next timer instead of passing, and wall time that follows it."""

from __future__ import annotations

import asyncio
import selectors
from datetime import UTC, datetime, timedelta

_DECIMALS = 9  # nanoseconds: sums of jumps do not drift, and a timer is never missed by a rounding

FIRST_INSTANT = datetime(2026, 11, 23, 17, 0, tzinfo=UTC)
"""What a `FakeClock` shows as its loop starts, unless told otherwise."""


HORIZON = 86_400.0
"""How far a `VirtualTimeLoop` goes, unless told otherwise, in seconds: what takes longer will never come."""


class NothingToWaitFor(RuntimeError):
    """Nothing can wake the tasks of a virtual loop any more, or nothing did before its horizon: a test would hang."""


class _JumpingSelector(selectors.DefaultSelector):
    """Where a loop would sleep until its next timer, moves the time there."""

    def __init__(self, horizon: float) -> None:
        super().__init__()
        self.now = 0.0
        self._horizon = horizon

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        if timeout is None:
            raise NothingToWaitFor(f"no timer is set, and these tasks wait for ever: {_unfinished_tasks()}")
        self.now = round(self.now + timeout, _DECIMALS)
        if self.now > self._horizon:
            raise NothingToWaitFor(
                f"{self._horizon:g}s of virtual time passed, and these still run: {_unfinished_tasks()}"
            )
        return ready


def _unfinished_tasks() -> str:
    tasks = asyncio.all_tasks(asyncio.get_running_loop())
    return ", ".join(sorted(f"{task.get_name()} {task.get_coro()}" for task in tasks)) or "none"


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop that never sleeps: when nothing is ready, its time jumps to the next timer.

    As trio's autojump clock: an hour of ticks passes in milliseconds, and comes out the same each time.
    Time starts at 0. The loop serves timers and tasks; sockets and threads answer in real time, which it does not wait
    for. Raises NothingToWaitFor out of `run_until_complete` where a real loop would hang for ever, and where more than
    `horizon` seconds of virtual time pass.
    """

    def __init__(self, horizon: float = HORIZON) -> None:
        self._jumping = _JumpingSelector(horizon)
        super().__init__(self._jumping)

    def time(self) -> float:
        """Seconds since the loop was made."""
        return self._jumping.now

    def stall(self, seconds: float) -> None:
        """Let `seconds` pass while nobody runs, as a SIGSTOP, a paused machine or a blocking call does.

        All timers that come due meanwhile fire late, together, when the loop goes on.
        """
        self._jumping.now = round(self._jumping.now + seconds, _DECIMALS)


class FakeClock:
    """Wall time and monotonic time that follow the running loop; wall time can be stepped, as NTP or an operator does.

    Made inside a running loop. `now` is what a worker takes as its `clock`, `monotonic` as its `monotonic`.
    """

    def __init__(self, start: datetime = FIRST_INSTANT) -> None:
        self._loop = asyncio.get_running_loop()
        self._wall = start

    def now(self) -> datetime:
        """Wall time in UTC."""
        return self._wall + timedelta(seconds=self._loop.time())

    def monotonic(self) -> float:
        """Seconds that only ever grow, whatever wall time does."""
        return self._loop.time()

    def step(self, seconds: float) -> None:
        """Set wall time forward, or back where `seconds` is negative."""
        self._wall += timedelta(seconds=seconds)
