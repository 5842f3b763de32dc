"""The configuration of a worker, the checks on its arguments, and its clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isfinite

from healthprobe.domain.policy import REFERENCE, Policy, Thresholds
from healthprobe.domain.probe.probe_settings import PLAIN, ProbeSettings
from healthprobe.domain.schedule import AutoLanes, Window, spread_window
from healthprobe.ports import ConfigurationError

_ERROR = "new health probe worker:"
"""How each of the reference's messages about the arguments of a worker begins."""

_COLLABORATORS = {"records": "runtime records store", "log": "health events log", "prober": "prober"}


def require(**collaborators: object) -> None:
    """Raises ConfigurationError for a collaborator that is None, by its name."""
    for name, collaborator in collaborators.items():
        if collaborator is None:
            raise ConfigurationError(f"{_ERROR} no {_COLLABORATORS[name]}: {name} is None")


def require_positive(**numbers: float) -> None:
    """Raises ConfigurationError for a number that is not positive and finite, by its name."""
    for name, number in numbers.items():
        if not (isfinite(number) and number > 0):
            raise ConfigurationError(f"{_ERROR} {name} must be positive, and is {number!r}")


_PATIENCE_SHARE = 0.25

WORKER_KEY = "rtmanager.healthprobe"
"""The key `worker` of each log line: the reference's."""

DEFAULT_MAX_CONCURRENCY = 16
"""How many probes are in flight at most where a caller says nothing: the reference's number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerConfig:
    """The rules of a worker. `interval` and `probe_timeout` are seconds, `failures_threshold` counts failures in a row.

    `max_concurrency` is the most probes in flight: a number, or AutoLanes for as many as a tick can need. `policy` has
    the rules that the reference does not know; its defaults switch them off. `probe` is how games are probed: what a
    record says wins. Raises ConfigurationError for an interval, a timeout or a threshold that is not positive, and for
    a timeout of `probe` that is not shorter than the interval.
    """

    interval: float = 5.0
    probe_timeout: float = 2.0
    failures_threshold: int = 3
    max_concurrency: int | AutoLanes = DEFAULT_MAX_CONCURRENCY
    policy: Policy = REFERENCE
    probe: ProbeSettings = PLAIN

    def __post_init__(self) -> None:
        require_positive(
            interval=self.interval, probe_timeout=self.probe_timeout, failures_threshold=self.failures_threshold
        )
        if self.probe.timeout is not None and self.probe.timeout >= self.interval:
            raise ConfigurationError(
                f"{_ERROR} probe.timeout {self.probe.timeout:g}s is not shorter than the interval of {self.interval:g}s"
            )

    @property
    def thresholds(self) -> Thresholds:
        """The thresholds of games whose records set none."""
        return Thresholds(self.failures_threshold, self.policy.successes)

    def lane_limit(self, most_in_flight: int) -> int:
        """The most probes in flight in a tick that could have `most_in_flight` of them."""
        if isinstance(self.max_concurrency, AutoLanes):
            return self.max_concurrency.limit(most_in_flight)
        return self.max_concurrency if self.max_concurrency > 0 else DEFAULT_MAX_CONCURRENCY

    @property
    def call_patience(self) -> float:
        """How long a tick waits for a store or a log that does not answer, in seconds."""
        return self.interval * _PATIENCE_SHARE

    @property
    def window(self) -> Window:
        """The part of a tick in which its probes start."""
        return spread_window(self.interval, self.probe_timeout)


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Clock:
    """`wall` returns the time in UTC, for `occurred_at` alone; `monotonic` returns seconds, for all durations."""

    wall: Callable[[], datetime] = utc_now
    monotonic: Callable[[], float] = time.monotonic
