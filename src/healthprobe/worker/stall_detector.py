"""The stall watch: how long the loop stood still, so that its own pause is not taken for an engine's silence."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

_TOLERATED_SHARE = 0.25
"""The share of the probe timeout that the loop may lose before its probes cannot be judged any more."""

_BEATS_PER_TOLERANCE = 2


class StallWatch:
    """Beats on the loop and notes each beat that came late.

    A suspended machine, a SIGSTOP, a starved or blocked loop: whatever the cause, timeouts that ran out meanwhile say
    nothing about an engine.
    """

    def __init__(self, probe_timeout: float, monotonic: Callable[[], float]) -> None:
        tolerance = probe_timeout * _TOLERATED_SHARE
        self._period = tolerance / _BEATS_PER_TOLERANCE
        self._longest_gap = self._period + tolerance
        self._monotonic = monotonic
        self._last_beat = self._stalled_until = float("-inf")
        self._next_beat: asyncio.TimerHandle | None = None
        self._watchers = 0

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch the running loop as long as somebody is inside."""
        if not self._watchers:
            self._last_beat = self._monotonic()
            self._next_beat = asyncio.get_running_loop().call_later(self._period, self._beat)
        self._watchers += 1
        try:
            yield
        finally:
            self._watchers -= 1
            if not self._watchers and self._next_beat is not None:
                self._next_beat.cancel()

    def spans(self, started: float, now: float) -> bool:
        """Whether the loop stalled between `started` and `now`, both monotonic seconds.

        After a pause the loop may run what was due in any order, so that a probe can be judged before the beat that
        measures the stall: a beat that is overdue counts as well.
        """
        return started < self._stalled_until or now - self._last_beat > self._longest_gap

    def _beat(self) -> None:
        now = self._monotonic()
        if now - self._last_beat > self._longest_gap:
            self._stalled_until = now
        self._last_beat = now
        self._next_beat = asyncio.get_running_loop().call_later(self._period, self._beat)


class StallWatches:
    """A watch for each probe timeout that there is: a stall that a long one bears costs a short one its probe."""

    def __init__(self, probe_timeout: float, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._watches = {probe_timeout: StallWatch(probe_timeout, monotonic)}
        self._stack: ExitStack | None = None
        self._watchers = 0

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch the running loop as long as somebody is inside."""
        self._watchers += 1
        if self._stack is None:
            self._stack = ExitStack()
            for watch in self._watches.values():
                self._stack.enter_context(watch.watching())
        try:
            yield
        finally:
            self._watchers -= 1
            if not self._watchers:
                self._stack.close()
                self._stack = None

    def spans(self, probe_timeout: float, started: float, now: float) -> bool:
        """Whether a probe with this timeout cannot be judged that began at `started` and ended `now`."""
        watch = self._watches.get(probe_timeout)
        if watch is None:
            watch = self._watches[probe_timeout] = StallWatch(probe_timeout, self._monotonic)
            if self._stack is not None:
                self._stack.enter_context(watch.watching())
        return watch.spans(started, now)
