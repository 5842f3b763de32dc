"""The trouble of the prober itself: what /healthz, the heartbeat and systemd's watchdog go by."""

from __future__ import annotations

from dataclasses import dataclass

from healthprobe._util.duration import two_units
from healthprobe.worker.config import WorkerConfig
from healthprobe.worker.worker_status import WorkerStatus

STUCK_AFTER_INTERVALS = 2
"""The prober counts as stuck when its tick is late by more intervals than this."""

STUCK_AFTER_WAIT = 3
"""The prober counts as stuck when an event has waited more intervals than this for the log."""

STUCK_AFTER_LOG_OUTAGE = 60.0
"""The prober counts as stuck when the log has been unavailable for more seconds than this."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is wrong with the prober, and the words of the log for it, which may name a server, a file or a game."""

    what: str
    cause: str = ""

    def __str__(self) -> str:
        return f"{self.what}: {self.cause}" if self.cause else self.what


def trouble_of(worker: WorkerStatus, config: WorkerConfig) -> Trouble | None:
    """Returns what is wrong with a prober, or None while it probes, sees, and its log takes events."""
    late = worker.tick_overdue_for
    if late > STUCK_AFTER_INTERVALS * config.interval:
        return Trouble(f"its tick is late by {two_units(late)}")
    if blind := worker.blind_for:
        return Trouble(f"no canary has answered for {two_units(blind)}, so no failure is counted")
    unknown, lasting = worker.unknown_most
    if unknown and lasting and lasting >= (config.failures_threshold - 1) * config.interval:
        watched = len(worker.target_set)
        what = f"nothing has been known of {unknown:,} of {watched:,} games for {two_units(lasting)}"
        return Trouble(what, worker.unknown_cause)
    if without_shards := worker.shards_away_for:
        away = two_units(without_shards)
        return Trouble(f"its cluster has been unavailable for {away}, so it has no shards to probe")
    waited, log_outage = worker.longest_wait, worker.log_away_for
    if waited > STUCK_AFTER_WAIT * config.interval or log_outage > STUCK_AFTER_LOG_OUTAGE:
        waiting = len(worker.waiting)
        what = {0: "nothing waits", 1: "1 event waits"}.get(waiting, f"{waiting:,} events wait")
        taken = f"its log has taken nothing for {two_units(max(waited, log_outage))}"
        return Trouble(f"{taken}, and {what} for it", worker.log_error)
    return None
