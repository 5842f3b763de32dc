"""The verdict: whether an outcome counts, and what hysteresis makes of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from healthprobe._util.aio import background_tasks
from healthprobe.domain.hysteresis import GameState, Standing, Transition, after_failure, after_success
from healthprobe.domain.outcome import HEALTHY, Failed, Healthy, Inconclusive, ProbeOutcome
from healthprobe.domain.record import RuntimeRecord
from healthprobe.domain.target import ProbeTarget
from healthprobe.ports import Prober, ShardLeases, Telemetry
from healthprobe.worker.canaries import Canaries, Doubt
from healthprobe.worker.config import Terms
from healthprobe.worker.extra_probes import Confirmations
from healthprobe.worker.game_states import Ledger
from healthprobe.worker.safe_logging import RateLimitedWarning
from healthprobe.worker.stall_detector import StallWatches
from healthprobe.worker.suppression import Flaps, Grace, HeldDecisions
from healthprobe.worker.target_set import TargetSet, WatchedGame


class Judgement:
    """Counts outcomes in the ledger, and decides transitions there unless the policy has something against it.

    `target_set` tells the games in force. `on_decision` is called when a transition waits for the log.
    """

    def __init__(
        self, terms: Terms, ledger: Ledger, target_set: Callable[[], TargetSet], on_decision: Callable[[], None]
    ) -> None:
        self._ledger = ledger
        self._roster = target_set
        self._on_decision = on_decision
        self._logger = terms.logger
        self._clock = terms.clock
        self._monotonic = terms.monotonic
        self.flaps = Flaps(terms.policy.flap)
        self.held = HeldDecisions(terms, self._release)

    def of_failure(self, game: WatchedGame, failed: Failed) -> bool:
        """Count a failure. Whether it leaves the game up for now, so that more of them would decide."""
        game_id, container_id = game.game_id, game.record.current_container_id
        before = self._ledger.states.get(game_id)
        threshold = game.thresholds.failures
        silenced = self._is_silenced(game.record)
        after = after_failure(before, failed, container_id, threshold, decides=not silenced)
        self.flaps.failed(game_id)
        if after.consecutive_failures == 1 and not after.in_incident:
            self.held.answered(game_id)
        if before is None or (before.standing is Standing.CLOSED and not before.consecutive_failures):
            self.held.failed(game_id, len(self._roster()) - len(self._ledger.states))
        is_decided = _is_new(after, before)
        if is_decided:
            self._decide(game.record, after)
        else:
            self._ledger.put(game_id, after)
        if after.consecutive_failures > threshold:
            self.held.failed_again(game_id)
        if is_decided:
            return False
        self._logger.debug(
            "probe failure",
            game_id=game_id,
            consecutive_failures=after.consecutive_failures,
            threshold=threshold,
            err=failed.last_error,
        )
        return after.standing is Standing.CLOSED and after.pending is None and after.consecutive_failures < threshold

    def of_success(self, game: WatchedGame, _: Healthy) -> None:
        """Count a success of a game that has a state."""
        before = self._ledger.states.get(game.game_id)
        self.held.answered(game.game_id)
        after = after_success(before, game.thresholds.successes, decides=self._may_recover(game, before))
        if after is not None and _is_new(after, before):
            self._decide(game.record, after)
        else:
            self._ledger.put(game.game_id, after)

    def dismiss(self, game_id: str) -> None:
        """The game is not watched any more."""
        self.held.answered(game_id)
        self.flaps.dismiss(game_id)

    def _may_recover(self, game: WatchedGame, before: GameState | None) -> bool:
        if before is None or before.standing is not Standing.OPEN or before.pending is not None:
            return True
        return not self.flaps.withholds(game.game_id, self._monotonic()) and not self._is_silenced(game.record)

    def _decide(self, record: RuntimeRecord, state: GameState) -> None:
        details = state.pending
        assert details is not None
        game_id = record.game_id
        follows = self._ledger.last_sequence(game_id)
        transition = Transition(game_id, record.current_container_id, self._clock(), details, follows)
        if state.standing is Standing.CLOSED and self.held.wants(game_id):
            self._ledger.put(game_id, replace(state, pending=None))
            self.held.take(transition)
        else:
            self._note(transition, state)

    def _release(self, transition: Transition) -> None:
        """A decision that was held is one now, unless the game was silenced, or the log has told of it, meanwhile."""
        game_id = transition.game_id
        state, game = self._ledger.states.get(game_id), self._roster().by_id.get(game_id)
        if state is None or state.standing is not Standing.CLOSED or state.pending is not None:
            return
        if game is not None and not self._is_silenced(game.record):
            self._note(transition, replace(state, pending=transition.details))

    def _note(self, transition: Transition, state: GameState) -> None:
        self._ledger.decide(transition, state)
        self.flaps.note(transition.game_id, self._monotonic())
        self._on_decision()

    def _is_silenced(self, record: RuntimeRecord) -> bool:
        return record.silenced_until is not None and self._clock() < record.silenced_until


def _is_new(after: GameState, before: GameState | None) -> bool:
    """Whether something was decided just now."""
    return after.pending is not None and (before is None or before.pending is None)


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
        shards: ShardLeases | None,
        target_set: Callable[[], TargetSet],
        record_probe: Callable[[str, ProbeOutcome, float, float], None],
        confirm: Callable[[WatchedGame], None] | None,
    ) -> None:
        self._ledger = ledger
        self._judgement = judgement
        self._grace = grace
        self._in_grace = grace.until
        self._stalls = stalls
        self._shards = shards
        self._roster = target_set
        self._interval = terms.interval
        self._record_probe = record_probe
        self._confirm = confirm
        self._monotonic = terms.monotonic
        self._canaries: Canaries | None = None
        self._doubted: Collection[str] = ()
        self._inconclusive = RateLimitedWarning(terms.logger, "probe inconclusive", terms.monotonic)
        self._faults = RateLimitedWarning(terms.logger, "judging an outcome failed", terms.monotonic)

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


_AFTER_A_FAULT = 1.0
"""How long to wait, in seconds, before what broke is begun again."""


class Verdicts:
    """Takes outcomes into account: by the loop's own stalls, the canaries, the grace of newcomers, the policy.

    `target_set` tells the games in force. `on_decision` is called when a transition waits for the log, `on_sight` with
    whether this worker sees when that has changed.
    """

    def __init__(
        self,
        terms: Terms,
        ledger: Ledger,
        *,
        prober: Prober,
        telemetry: Telemetry,
        canaries: Sequence[ProbeTarget],
        shards: ShardLeases | None,
        target_set: Callable[[], TargetSet],
        lane_limit: Callable[[], int],
        on_decision: Callable[[], None],
        on_sight: Callable[[bool], None] | None,
    ) -> None:
        self.grace = Grace(terms.policy.grace, terms.monotonic)
        self.judgement = Judgement(terms, ledger, target_set, on_decision)
        self.stalls = StallWatches(terms.probe_timeout, terms.monotonic)
        self._confirmations = Confirmations(terms, prober, self.weigh_beside, lane_limit)
        self._weighing = Weighing(
            terms,
            ledger,
            judgement=self.judgement,
            grace=self.grace,
            stalls=self.stalls,
            shards=shards,
            target_set=target_set,
            record_probe=telemetry.record_probe,
            confirm=None if terms.policy.confirm is None else self._confirmations.call,
        )
        self.canaries = Canaries(terms, canaries, prober, settle=self._weighing.settle, on_sight=on_sight)
        if canaries:
            self._weighing.ask(self.canaries)
        self.weigh = self._weighing.weigh
        self.tell_of = self._weighing.tell_of

    def weigh_beside(self, game: WatchedGame, outcome: ProbeOutcome, started: float) -> None:
        """Take the outcome of a probe into account that belongs to no tick, and so began when it was due."""
        self._weighing.weigh(game, outcome, started, started)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Ask the canaries, confirm, and release what was held, as long as somebody is inside."""
        works = (self._confirmations.run, self.canaries.run, self.judgement.held.run)
        async with background_tasks(*map(self._on_and_on, works)):
            yield

    async def _on_and_on(self, work: Callable[[], Coroutine[None, None, None]]) -> None:
        """A fault in what is done beside the ticks must not leave failures undecided for ever."""
        while True:
            try:
                return await work()
            except Exception as error:  # noqa: BLE001  a collaborator's, or our own
                self.tell_of(error)
            await asyncio.sleep(_AFTER_A_FAULT)

    async def settle(self) -> None:
        """Do at once, and to its end, what is done beside the ticks of a run."""
        await self.canaries.settle_all()
        while self._confirmations.waiting:
            await self._confirmations.drain()
            await self.canaries.settle_all()
        self.judgement.held.settle()
