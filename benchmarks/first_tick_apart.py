"""`healthprobe` as it is, but for its figures of lateness: those of the first tick, which opens all connections, apart.

python -m benchmarks.first_tick_apart run …
"""

from __future__ import annotations

from typing import Any

from healthprobe.app import run
from healthprobe.cli.main import main
from healthprobe.status.counters import Counters

FIRST = "first_tick_late_ms_p99"


class TallyOfLaterTicks(Counters):
    """Forgets the lateness of the first tick, once that is over, but for its own figure."""

    def __init__(self) -> None:
        super().__init__()
        self._first = 0.0

    def record_tick(self, games: int, duration: float, dropped: int) -> None:
        super().record_tick(games, duration, dropped)
        if self.ticks == 1:
            self._first = self.lateness.quantile(0.99) or 0.0
            self.lateness.counts[:] = [0] * len(self.lateness.counts)

    def summary(self) -> dict[str, Any]:
        return {**super().summary(), FIRST: round(self._first * 1000, 1)}


if __name__ == "__main__":
    run.Counters = TallyOfLaterTicks  # type: ignore[attr-defined]  # where the service takes its tally from
    main()
