"""Virtual time: an event loop whose time jumps to the next timer, and a wall clock that follows it."""

from __future__ import annotations

import asyncio
import selectors
from datetime import UTC, datetime, timedelta

_DECIMALS = 9  # nanoseconds: sums of jumps do not drift, and a timer is never missed by a rounding

FIRST_INSTANT = datetime(2026, 11, 23, 17, 0, tzinfo=UTC)
"""The default start of a `FakeClock`."""


HORIZON = 86_400.0
"""The default horizon of a `VirtualTimeLoop`, in seconds."""


class NothingToWaitFor(RuntimeError):
    """No timer is left to wake the loop's tasks, or its horizon has passed. On a real loop the test would hang."""


class _JumpingSelector(selectors.DefaultSelector):
    """Moves the time to the next timer where a loop would sleep until it."""

    def __init__(self, horizon: float) -> None:
        super().__init__()
        self.now = 0.0
        self._horizon = horizon

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        if timeout is None:
            raise NothingToWaitFor(f"no timer is set, and these tasks never end: {_unfinished_tasks()}")
        self.now = round(self.now + timeout, _DECIMALS)
        if self.now > self._horizon:
            raise NothingToWaitFor(
                f"{self._horizon:g}s of virtual time have passed, and these tasks still run: {_unfinished_tasks()}"
            )
        return ready


def _unfinished_tasks() -> str:
    tasks = asyncio.all_tasks(asyncio.get_running_loop())
    return ", ".join(sorted(f"{task.get_name()} {task.get_coro()}" for task in tasks)) or "none"


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop that never sleeps: when nothing is ready, its time jumps to the next timer.

    Like trio's autojump clock: an hour of ticks passes in milliseconds, with the same result each time. Time starts at
    0. The loop serves timers and tasks; it does not wait for sockets and threads, which answer in real time.
    `run_until_complete` raises NothingToWaitFor where a real loop would hang, and after `horizon` virtual seconds.
    """

    def __init__(self, horizon: float = HORIZON) -> None:
        self._jumping = _JumpingSelector(horizon)
        super().__init__(self._jumping)

    def time(self) -> float:
        """Returns the virtual seconds since the loop was created."""
        return self._jumping.now

    def stall(self, seconds: float) -> None:
        """Lets `seconds` pass without running anything, as a SIGSTOP, a paused machine or a blocking call does.

        Timers that are due meanwhile fire late, together.
        """
        self._jumping.now = round(self._jumping.now + seconds, _DECIMALS)


class FakeClock:
    """Wall and monotonic time that follow the running loop. Wall time can be stepped, as by NTP or an operator.

    Create it inside a running loop. Pass `now` to a worker as `clock`, and `monotonic` as `monotonic`.
    """

    def __init__(self, start: datetime = FIRST_INSTANT) -> None:
        self._loop = asyncio.get_running_loop()
        self._wall = start

    def now(self) -> datetime:
        """Returns the wall time in UTC."""
        return self._wall + timedelta(seconds=self._loop.time())

    def monotonic(self) -> float:
        """Returns seconds that never go back."""
        return self._loop.time()

    def step(self, seconds: float) -> None:
        """Sets wall time forward, or back if `seconds` is negative."""
        self._wall += timedelta(seconds=seconds)
