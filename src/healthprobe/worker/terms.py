"""The terms: what a worker was told to go by, for all of its parts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from healthprobe.domain.policy import REFERENCE, Policy, Thresholds
from healthprobe.domain.schedule import Window, spread_window
from healthprobe.worker.bystanders import Voice


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """`interval` and `probe_timeout` are seconds. `clock` tells wall time, `monotonic` seconds."""

    interval: float
    probe_timeout: float
    failures_threshold: int
    policy: Policy = REFERENCE
    clock: Callable[[], datetime]
    monotonic: Callable[[], float]
    logger: Voice

    @property
    def thresholds(self) -> Thresholds:
        """By which games are judged that have none of their own."""
        return Thresholds(self.failures_threshold, self.policy.successes)

    @property
    def window(self) -> Window:
        """The part of a tick in which its probes start."""
        return spread_window(self.interval, self.probe_timeout)
