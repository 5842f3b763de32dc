"""The judgement: hysteresis and the run's policy, applied to the outcomes that count."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from healthprobe.domain.hysteresis import GameState, Standing, after_failure, after_success
from healthprobe.domain.outcome import Failed, Healthy
from healthprobe.domain.record import RuntimeRecord
from healthprobe.domain.transition import Transition
from healthprobe.worker.flaps import Flaps
from healthprobe.worker.held import HeldDecisions
from healthprobe.worker.ledger import Ledger
from healthprobe.worker.roster import Roster, WatchedGame
from healthprobe.worker.terms import Terms


class Judgement:
    """Counts outcomes in the ledger, and decides transitions there unless the policy has something against it.

    `roster` tells the games in force. `on_decision` is called when a transition waits for the log.
    """

    def __init__(
        self, terms: Terms, ledger: Ledger, roster: Callable[[], Roster], on_decision: Callable[[], None]
    ) -> None:
        self._ledger = ledger
        self._roster = roster
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
