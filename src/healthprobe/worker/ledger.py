"""The ledger: what is known of the games in trouble, and the transitions that the log does not have yet."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from itertools import count

from healthprobe.domain.event import HealthEvent
from healthprobe.domain.hysteresis import UNREAD, GameState, Standing, after_failure, after_log, after_success
from healthprobe.domain.outcome import Failed, Healthy
from healthprobe.domain.record import RuntimeRecord
from healthprobe.domain.transition import Transition
from healthprobe.worker.bystanders import Voice


class Ledger:
    """Applies hysteresis to outcomes and to what the log says; of a healthy game it knows at most its last sequence.

    `waiting` has at most one transition a game, in the order in which they were decided. `unread` are the games that
    the log has not told about, each with the number of its admission: for one that went and came back meanwhile, an
    answer to what was asked before is too old.
    """

    def __init__(self, threshold: int, clock: Callable[[], datetime], logger: Voice) -> None:
        self._threshold = threshold
        self._clock = clock
        self._logger = logger
        self.states: dict[str, GameState] = {}
        self.unread: dict[str, int] = {}
        self.waiting: dict[str, Transition] = {}
        self._last_sequences: dict[str, int] = {}
        self._admissions = count(1)

    def admit(self, game_id: str) -> None:
        """A game appeared: until the log was read, nothing about it is decided."""
        waiting = self.waiting.get(game_id)
        if waiting is None:
            self.states[game_id] = UNREAD
            self.unread[game_id] = next(self._admissions)
        else:
            self.states[game_id] = GameState(Standing.UNREAD, pending=waiting.details)

    def dismiss(self, game_id: str) -> None:
        """A game is no longer listed: its count is dropped. What was decided is kept for the log."""
        self.states.pop(game_id, None)
        self.unread.pop(game_id, None)
        self._last_sequences.pop(game_id, None)

    def abandon(self, game_id: str) -> None:
        """A game is another instance's: what was decided about it is dropped as well."""
        self.dismiss(game_id)
        self.waiting.pop(game_id, None)

    def judge(self, record: RuntimeRecord, outcome: Healthy | Failed) -> bool:
        """Take one outcome into account; True where it decided a transition, which is now waiting for the log."""
        before = self.states.get(record.game_id)
        if isinstance(outcome, Failed):
            after: GameState | None = after_failure(before, outcome, record.current_container_id, self._threshold)
        else:
            after = after_success(before)
        decided = after is not None and after.pending is not None and (before is None or before.pending is None)
        if decided and after is not None and after.pending is not None:
            follows = self._last_sequences.get(record.game_id, 0)
            self.waiting[record.game_id] = Transition(
                record.game_id, record.current_container_id, self._clock(), after.pending, follows
            )
        self._put(record.game_id, after)
        if isinstance(outcome, Failed) and after is not None and not decided:
            self._logger.debug(
                "probe failure",
                game_id=record.game_id,
                consecutive_failures=after.consecutive_failures,
                threshold=self._threshold,
                err=outcome.last_error,
            )
        return decided

    def settle(self, game_id: str, last_event: HealthEvent | None) -> None:
        """The log has told the game's last event; nothing of the game waits any more."""
        self.waiting.pop(game_id, None)
        self.unread.pop(game_id, None)
        if game_id in self.states:
            self._put(game_id, after_log(self.states[game_id], last_event))
            if last_event is not None:
                self._last_sequences[game_id] = last_event.sequence
            else:
                self._last_sequences.pop(game_id, None)

    def _put(self, game_id: str, state: GameState | None) -> None:
        if state is None:
            self.states.pop(game_id, None)
        else:
            self.states[game_id] = state
