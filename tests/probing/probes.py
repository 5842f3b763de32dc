"""Probes as the tests make them, and what is asserted of their outcomes."""

from __future__ import annotations

import re
import time
from pathlib import Path

from healthprobe.domain.outcome import Failed, ProbeOutcome
from healthprobe.domain.record import RuntimeRecord
from healthprobe.domain.target import ProbeTarget, parse_target
from healthprobe.probing.http import HTTPProber

PATIENT = 10.0
"""A timeout, in seconds, for probes that end at once unless something is wrong."""

IMPATIENT = 0.3
"""A timeout, in seconds, for probes that run into it."""

LATEST = 0.05 + 3.0
"""How much later than its timeout, in seconds, a probe may be seen to end.

50 ms are promised. The rest is for the machine: prober and peers share one loop here, and other processes on two
cores have been seen to take the processor away for 800 ms.
"""


def target_at(url: str, timeout: float = PATIENT) -> ProbeTarget:
    """A target as the worker makes it of a record."""
    return parse_target(RuntimeRecord("game-7", "c0ffee", url), timeout)


async def timed(prober: HTTPProber, target: ProbeTarget) -> tuple[ProbeOutcome, float]:
    """The outcome of a probe, and how many seconds it took."""
    begun = time.monotonic()
    return await prober.probe(target), time.monotonic() - begun


async def probes(prober: HTTPProber, target: ProbeTarget, times: int) -> list[ProbeOutcome]:
    """The outcomes of as many probes, one after another."""
    return [await prober.probe(target) for _ in range(times)]


def assert_failed(outcome: ProbeOutcome, words: str, status: int = 0) -> None:
    """`outcome` is a failure with `status`, and its cause has these words, a regular expression."""
    assert isinstance(outcome, Failed), outcome
    assert outcome.last_status == status, outcome
    assert re.search(words, outcome.last_error), outcome


def assert_on_time(seconds: float, timeout: float) -> None:
    """Asserts that a probe that timed out took its timeout, and not longer than promised."""
    assert timeout - 0.005 <= seconds < timeout + LATEST


def open_descriptors() -> int:
    """How many files and sockets this process has open."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())
