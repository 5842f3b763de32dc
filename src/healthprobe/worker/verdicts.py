"""The verdicts: each outcome is weighed, whether it counts and what it decides."""

from __future__ import annotations

from collections.abc import Callable

from healthprobe.domain.outcome import HEALTHY, Failed, Inconclusive, ProbeOutcome
from healthprobe.ports import ShardTenure
from healthprobe.worker.bystanders import Voice
from healthprobe.worker.ledger import Ledger
from healthprobe.worker.once_a_minute import OnceAMinute
from healthprobe.worker.roster import WatchedGame
from healthprobe.worker.stall import StallWatch
from healthprobe.worker.takeover import Takeover

_STOOD_STILL = Inconclusive("the prober itself stood still")


class Verdicts:
    """Takes outcomes into account. `on_decision` is called when one has decided a transition.

    `interval` is seconds; `record_probe` is the telemetry's own, for it is called once a probe.
    """

    def __init__(
        self,
        ledger: Ledger,
        takeover: Takeover,
        stall: StallWatch,
        shards: ShardTenure | None,
        logger: Voice,
        *,
        interval: float,
        record_probe: Callable[[str, ProbeOutcome, float, float], None],
        on_decision: Callable[[], None],
        monotonic: Callable[[], float],
    ) -> None:
        self._ledger = ledger
        self._takeover = takeover
        self._stall = stall
        self._shards = shards
        self._interval = interval
        self._record_probe = record_probe
        self._on_decision = on_decision
        self._monotonic = monotonic
        self._inconclusive = OnceAMinute(logger, "probe inconclusive", monotonic)
        self._faults = OnceAMinute(logger, "judging an outcome failed", monotonic)

    def weigh(self, game: WatchedGame, outcome: ProbeOutcome, started: float, due: float) -> None:
        """Take one outcome into account. Never raises: one probe's fault is not another's."""
        try:
            now = self._monotonic()
            if self._stall.spans(started, now):
                outcome = _STOOD_STILL
            if outcome is not HEALTHY or self._ledger.states:
                self._decide(game, outcome, started, now)
            self._record_probe(game.game_id, outcome, now - started, started - due)
        except Exception as error:  # noqa: BLE001  a collaborator's, or our own
            self.tell_of(error)

    def tell_of(self, fault: Exception) -> None:
        """Say what went wrong beside an outcome, once a minute."""
        self._faults.tell(f"{type(fault).__name__}: {fault}")

    def _decide(self, game: WatchedGame, outcome: ProbeOutcome, started: float, now: float) -> None:
        if isinstance(outcome, Inconclusive):
            self._inconclusive.tell(outcome.cause)
            return
        concerned = isinstance(outcome, Failed) or game.game_id in self._ledger.states
        if concerned and self._counts(game, started, now) and self._ledger.judge(game.record, outcome):
            self._on_decision()

    def _counts(self, game: WatchedGame, started: float, now: float) -> bool:
        """Whether the game is still listed as it was, and its shard has been ours since its probe began.

        What is older than an interval is stale: another instance may have seen more since.
        """
        if self._takeover.roster.by_id.get(game.game_id) is not game:
            return False
        if self._shards is None:
            return True
        return now - started <= self._interval and self._shards.covers(game.shard, started)
