"""The settings that the worker's parts share, and the checks on its arguments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from math import isfinite

from healthprobe.domain.policy import REFERENCE, Policy, Thresholds
from healthprobe.domain.schedule import AutoLanes, Window, spread_window
from healthprobe.ports import ConfigurationError
from healthprobe.worker.safe_logging import SafeLogger


def require(**collaborators: object) -> None:
    """Raises ConfigurationError for a collaborator that is None, by its name."""
    for name, collaborator in collaborators.items():
        if collaborator is None:
            raise ConfigurationError(f"a worker needs {name}, and was given None")


def require_positive(**numbers: float) -> None:
    """Raises ConfigurationError for a number that is not positive and finite, by its name."""
    for name, number in numbers.items():
        if not (isfinite(number) and number > 0):
            raise ConfigurationError(f"{name} must be a positive number, and is {number!r}")


DEFAULT_MAX_CONCURRENCY = 16
"""How many probes are in flight at most where a caller says nothing: the reference's number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerConfig:
    """The rules of a worker. `interval` and `probe_timeout` are seconds, `failures_threshold` counts failures in a row.

    `max_concurrency` is the most probes in flight: a number, or AutoLanes for as many as a tick can need. `policy` has
    the rules that the reference does not know; its defaults switch them off. Raises ConfigurationError for an interval,
    a timeout or a threshold that is not positive.
    """

    interval: float = 5.0
    probe_timeout: float = 2.0
    failures_threshold: int = 3
    max_concurrency: int | AutoLanes = DEFAULT_MAX_CONCURRENCY
    policy: Policy = REFERENCE

    def __post_init__(self) -> None:
        require_positive(
            interval=self.interval, probe_timeout=self.probe_timeout, failures_threshold=self.failures_threshold
        )

    @property
    def thresholds(self) -> Thresholds:
        """The thresholds of games whose records set none."""
        return Thresholds(self.failures_threshold, self.policy.successes)

    @property
    def window(self) -> Window:
        """The part of a tick in which its probes start."""
        return spread_window(self.interval, self.probe_timeout)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """`interval` and `probe_timeout` are seconds. `clock` tells wall time, `monotonic` seconds."""

    interval: float
    probe_timeout: float
    failures_threshold: int
    policy: Policy = REFERENCE
    clock: Callable[[], datetime]
    monotonic: Callable[[], float]
    logger: SafeLogger

    @property
    def thresholds(self) -> Thresholds:
        """By which games are judged that have none of their own."""
        return Thresholds(self.failures_threshold, self.policy.successes)

    @property
    def window(self) -> Window:
        """The part of a tick in which its probes start."""
        return spread_window(self.interval, self.probe_timeout)
