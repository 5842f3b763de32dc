"""The weighing: whether an outcome counts, and before whom."""

from __future__ import annotations

from collections.abc import Callable, Collection

from healthprobe.domain.outcome import HEALTHY, Failed, Inconclusive, ProbeOutcome
from healthprobe.ports import ShardTenure
from healthprobe.worker.canaries import Canaries, Doubt
from healthprobe.worker.grace import Grace
from healthprobe.worker.judgement import Judgement
from healthprobe.worker.ledger import Ledger
from healthprobe.worker.once_a_minute import OnceAMinute
from healthprobe.worker.roster import Roster, WatchedGame
from healthprobe.worker.stall import StallWatches
from healthprobe.worker.terms import Terms

_STOOD_STILL = Inconclusive("the prober itself stood still")


class Weighing:
    """Weighs each outcome once. `judgement` is told those that count; canaries are asked before a failure counts.

    `confirm` is called with a game that failed and is up for now. `record_probe` is the telemetry's own, for it is
    called once a probe.
    """

    def __init__(
        self,
        terms: Terms,
        ledger: Ledger,
        *,
        judgement: Judgement,
        grace: Grace,
        stalls: StallWatches,
        shards: ShardTenure | None,
        roster: Callable[[], Roster],
        record_probe: Callable[[str, ProbeOutcome, float, float], None],
        confirm: Callable[[WatchedGame], None] | None,
    ) -> None:
        self._ledger = ledger
        self._judgement = judgement
        self._grace = grace
        self._in_grace = grace.until
        self._stalls = stalls
        self._shards = shards
        self._roster = roster
        self._interval = terms.interval
        self._record_probe = record_probe
        self._confirm = confirm
        self._monotonic = terms.monotonic
        self._canaries: Canaries | None = None
        self._doubted: Collection[str] = ()
        self._inconclusive = OnceAMinute(terms.logger, "probe inconclusive", terms.monotonic)
        self._faults = OnceAMinute(terms.logger, "judging an outcome failed", terms.monotonic)

    def ask(self, canaries: Canaries) -> None:
        """From now on no failure counts before one of these has answered."""
        self._canaries = canaries
        self._doubted = canaries.doubted

    def weigh(self, game: WatchedGame, outcome: ProbeOutcome, started: float, due: float) -> None:
        """Take one outcome into account, now or after the canaries. Never raises: one fault is not another's."""
        try:
            now = self._monotonic()
            if self._stalls.spans(game.target.timeout, started, now):
                outcome = _STOOD_STILL
            if outcome is not HEALTHY or self._doubted:
                doubt = Doubt(game, outcome, started, due, now)
                if self._canaries is not None and self._canaries.takes(doubt):
                    return
                self._decide(game, outcome, started, now)
            elif self._ledger.states or self._in_grace:
                self._decide(game, outcome, started, now)
            self._record_probe(game.game_id, outcome, now - started, started - due)
        except Exception as error:  # noqa: BLE001  a collaborator's, or our own
            self.tell_of(error)

    def settle(self, doubt: Doubt) -> None:
        """Take an outcome into account that has waited for the canaries. Never raises."""
        game, outcome, started = doubt.game, doubt.outcome, doubt.started
        try:
            self._decide(game, outcome, started, self._monotonic())
            self._record_probe(game.game_id, outcome, doubt.ended - started, started - doubt.due)
        except Exception as error:  # noqa: BLE001  a collaborator's, or our own
            self.tell_of(error)

    def tell_of(self, fault: Exception) -> None:
        """Say what went wrong beside an outcome, once a minute."""
        self._faults.tell(f"{type(fault).__name__}: {fault}")

    def _decide(self, game: WatchedGame, outcome: ProbeOutcome, started: float, now: float) -> None:
        match outcome:
            case Inconclusive(cause):
                self._inconclusive.tell(cause)
            case Failed() as failed:
                if self._counts(game, started, now) and not self._grace.covers(game, now):
                    is_up = self._judgement.of_failure(game, failed)
                    if is_up and self._confirm is not None:
                        self._confirm(game)
            case healthy:
                if self._in_grace:
                    self._grace.end(game)
                if game.game_id in self._ledger.states and self._counts(game, started, now):
                    self._judgement.of_success(game, healthy)

    def _counts(self, game: WatchedGame, started: float, now: float) -> bool:
        """Whether the game is still listed as it was, and its shard has been ours since its probe began.

        What is older than an interval is stale: another instance may have seen more since.
        """
        if self._roster().by_id.get(game.game_id) is not game:
            return False
        if self._shards is None:
            return True
        return now - started <= self._interval and self._shards.covers(game.shard, started)
