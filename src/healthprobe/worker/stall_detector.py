"""The stall detector: measures how long the event loop stood still, so that its pause does not count as a failure."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

_TOLERATED_SHARE = 0.25
"""The share of the probe timeout that the loop may lose before its probes are inconclusive."""

_BEATS_PER_TOLERANCE = 2


class _Heartbeat:
    """A timer that notes each beat that came late.

    A suspended machine, a SIGSTOP, a starved or blocked loop: whatever the cause, a timeout that expired meanwhile says
    nothing about an engine.
    """

    def __init__(self, probe_timeout: float, monotonic: Callable[[], float]) -> None:
        tolerance = probe_timeout * _TOLERATED_SHARE
        self._period = tolerance / _BEATS_PER_TOLERANCE
        self._longest_gap = self._period + tolerance
        self._monotonic = monotonic
        self._last_beat = self._stalled_until = float("-inf")

    @contextmanager
    def running(self) -> Iterator[None]:
        self._last_beat = self._monotonic()
        self._next_beat = asyncio.get_running_loop().call_later(self._period, self._beat)
        try:
            yield
        finally:
            self._next_beat.cancel()

    def stalled(self, started: float, now: float) -> bool:
        # After a pause the loop may run what was due in any order, so that a probe can end before the beat that
        # measures the stall: a beat that is overdue counts as well.
        return started < self._stalled_until or now - self._last_beat > self._longest_gap

    def _beat(self) -> None:
        now = self._monotonic()
        if now - self._last_beat > self._longest_gap:
            self._stalled_until = now
        self._last_beat = now
        self._next_beat = asyncio.get_running_loop().call_later(self._period, self._beat)


class StallDetector:
    """Detects stalls of the loop, with a heartbeat for each probe timeout: a long timeout tolerates a longer stall."""

    def __init__(self, probe_timeout: float, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._heartbeats = {probe_timeout: _Heartbeat(probe_timeout, monotonic)}
        self._stack: ExitStack | None = None
        self._users = 0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Watches the running loop while at least one such block runs."""
        self._users += 1
        if self._stack is None:
            self._stack = ExitStack()
            for heartbeat in self._heartbeats.values():
                self._stack.enter_context(heartbeat.running())
        try:
            yield
        finally:
            self._users -= 1
            if not self._users:
                self._stack.close()
                self._stack = None

    def stalled(self, probe_timeout: float, started: float, now: float) -> bool:
        """Returns whether a probe with this timeout, from `started` to `now`, spans a stall of the loop."""
        heartbeat = self._heartbeats.get(probe_timeout)
        if heartbeat is None:
            heartbeat = self._heartbeats[probe_timeout] = _Heartbeat(probe_timeout, self._monotonic)
            if self._stack is not None:
                self._stack.enter_context(heartbeat.running())
        return heartbeat.stalled(started, now)
