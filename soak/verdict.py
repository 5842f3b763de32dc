"""The verdict: decides from samples whether anything grows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean, linear_regression

from soak.sample import Sample

FEWEST = 8
"""The least number of samples: two for each quarter."""


@dataclass(frozen=True, slots=True)
class Bound:
    """How much a quantity may rise: `per_minute` on the line through its samples, and from the mean of their first
    quarter to the mean of their last by `share` of it, and by `slack` besides."""

    name: str
    per_minute: float
    share: float
    slack: float = 0.0


BOUNDS = (
    Bound("memory (MiB)", 1.0, 0.05),
    Bound("descriptors", 20.0, 0.05, 10.0),
    Bound("threads", 0.25, 0.0, 1.0),
    Bound("connections", 20.0, 0.05, 10.0),
    Bound("lanes in use", 20.0, 0.5, 100.0),
    Bound("transitions waiting", 5.0, 0.5, 50.0),
    Bound("open incidents", 20.0, 0.5, 50.0),
)


@dataclass(frozen=True, slots=True)
class Trend:
    """The course of a quantity: the means of its quarters, its maximum, and the slope of its line per minute."""

    bound: Bound
    first: float
    last: float
    most: float
    slope: float

    @property
    def grows(self) -> bool:
        """Whether it grows by one of two measures: a leak is a line, and a late jump may be too short for one."""
        return self.slope > self.bound.per_minute or self.last > self.allowed

    @property
    def allowed(self) -> float:
        return self.first * (1 + self.bound.share) + self.bound.slack


def relaxed(bounds: Sequence[Bound], leeway: float) -> list[Bound]:
    """Returns the bounds with lines that may be `leeway` times as steep."""
    return [replace(bound, per_minute=bound.per_minute * leeway) for bound in bounds]


def trends(samples: Sequence[Sample], settled: float, bounds: Sequence[Bound] = BOUNDS) -> list[Trend]:
    """Returns the trend of each quantity after the first `settled` minutes. Raises ValueError for too few samples.

    >>> steady = [Sample(minute, {"threads": 9.0}) for minute in range(10)]
    >>> trends(steady, 0.0, [Bound("threads", 0.25, 0.0)])[0].grows
    False
    """
    judged = [sample for sample in samples if sample.at >= settled]
    if len(judged) < FEWEST:
        raise ValueError(f"{len(judged)} samples after {settled:g} minutes are too few: let it run for longer")
    return [_trend(judged, bound) for bound in bounds]


def _trend(samples: Sequence[Sample], bound: Bound) -> Trend:
    times, values = [sample.at for sample in samples], [sample.held[bound.name] for sample in samples]
    quarter = len(values) // 4
    slope, _ = linear_regression(times, values)
    return Trend(bound, fmean(values[:quarter]), fmean(values[-quarter:]), max(values), slope)
