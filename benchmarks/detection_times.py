"""The arithmetic of detection: how long a dead engine goes unnoticed, and how often a healthy one is reported dead.

All times are seconds, from the moment an engine dies to its `probe_failed`.
"""

from __future__ import annotations

from dataclasses import dataclass

DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Detection:
    """Settings of a run: a probe every `interval`, `failures` in a row, extra probes every `confirm` or None.

    `probe_duration` is how long a probe of the dead engine takes to fail: 0 if its connections are refused, the probe
    timeout if it hangs.
    """

    interval: float
    failures: int
    confirm: float | None = None
    probe_duration: float = 0.0

    @property
    def spacing(self) -> float:
        """The time from the start of one failing probe to the start of the next."""
        return self.interval if self.confirm is None else self.confirm + self.probe_duration

    @property
    def worst(self) -> float:
        """The time if the engine dies just after a probe started.

        >>> Detection(5.0, 3).worst, Detection(5.0, 3, confirm=0.25).worst
        (15.0, 5.5)
        >>> Detection(5.0, 3, probe_duration=2.0).worst, Detection(5.0, 3, confirm=0.25, probe_duration=2.0).worst
        (17.0, 11.5)
        """
        return self.interval + (self.failures - 1) * self.spacing + self.probe_duration

    @property
    def mean(self) -> float:
        """The mean time if every moment of death is equally likely.

        >>> Detection(5.0, 3).mean, Detection(5.0, 3, confirm=0.25).mean
        (12.5, 3.0)
        """
        return self.worst - self.interval / 2

    def false_alarms(self, loss: float) -> float:
        """Returns the false alarms per day of a healthy engine whose probes are lost independently with rate `loss`.

        Without confirmation a run of N = `failures` losses after a success is a false alarm: p^N x (1 - p) of them per
        tick, where p is `loss`. With confirmation each tick is a separate trial: p^N per tick while the engine counts
        as up; a false alarm interrupts that for 1 / (1 - p) ticks on average. Both are close to p^N.

        Losses that are not independent are different: a network outage of `(N - 1) x spacing` is a false alarm, and
        confirmation makes that time shorter. Canaries and `--hold` are for this case.

        >>> round(Detection(5.0, 3).false_alarms(0.01), 4)
        0.0171
        """
        run = loss**self.failures * (1 - loss)
        if self.confirm is not None:
            run = loss**self.failures / (1 + loss**self.failures / (1 - loss)) if loss < 1 else 0.0
        return run * DAY / self.interval

    @property
    def longest_harmless_outage(self) -> float:
        """A network outage shorter than this never causes a false alarm."""
        return (self.failures - 1) * self.spacing
