"""Detection: how long a dead engine stays unnoticed, and how often a healthy one is accused, as arithmetic.

All times are seconds, from the moment at which an engine dies to its `probe_failed`.
"""

from __future__ import annotations

from dataclasses import dataclass

DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Detection:
    """A way to find out: asked every `interval`, `failures` in a row, confirmed at the spacing `confirm` or by ticks.

    `silence` is how long a probe of the dead engine takes to fail: nothing where its connections are refused, and the
    probe timeout where it hangs.
    """

    interval: float
    failures: int
    confirm: float | None = None
    silence: float = 0.0

    @property
    def spacing(self) -> float:
        """From one failing probe's beginning to the next one's."""
        return self.interval if self.confirm is None else self.confirm + self.silence

    @property
    def worst(self) -> float:
        """Where the engine dies just after it was asked.

        >>> Detection(5.0, 3).worst, Detection(5.0, 3, confirm=0.25).worst
        (15.0, 5.5)
        >>> Detection(5.0, 3, silence=2.0).worst, Detection(5.0, 3, confirm=0.25, silence=2.0).worst
        (17.0, 11.5)
        """
        return self.interval + (self.failures - 1) * self.spacing + self.silence

    @property
    def mean(self) -> float:
        """Where it dies at any moment as likely as at any other.

        >>> Detection(5.0, 3).mean, Detection(5.0, 3, confirm=0.25).mean
        (12.5, 3.0)
        """
        return self.worst - self.interval / 2

    def false_alarms(self, loss: float) -> float:
        """False alarms a day of a healthy engine of whose probes the share `loss` is lost, each by itself.

        By ticks, a run of `failures` losses that begins after a success is one: with p for `loss` and N for `failures`
        there are p^N x (1 - p) of them a tick. Confirmed, each tick is a trial of its own: p^N a tick, as long as the
        engine is up, which a false alarm interrupts for one tick and 1 / (1 - p) on average. Both are nearly p^N.

        Losses that come together are another matter: an outage of the network of `(N - 1) x spacing` is a false alarm,
        and with confirmation that is shorter. That is what canaries and `--hold` are for.

        >>> round(Detection(5.0, 3).false_alarms(0.01), 4)
        0.0171
        """
        run = loss**self.failures * (1 - loss)
        if self.confirm is not None:
            run = loss**self.failures / (1 + loss**self.failures / (1 - loss)) if loss < 1 else 0.0
        return run * DAY / self.interval

    @property
    def longest_harmless_outage(self) -> float:
        """An outage of the whole network that is shorter than this never is a false alarm, whenever it comes."""
        return (self.failures - 1) * self.spacing
