"""The ledger: what is known of the games in trouble, and the transitions that the log does not have yet."""

from __future__ import annotations

from itertools import count

from healthprobe.domain.event import HealthEvent
from healthprobe.domain.hysteresis import UNREAD, GameState, Standing, Transition, after_log


class Ledger:
    """Keeps the states of games, and takes over what the log says; of a healthy one it knows at most its last sequence.

    `waiting` has at most one transition a game, in the order in which they were decided. `unread` are the games that
    the log has not told about, each with the number of its admission: for one that went and came back meanwhile, an
    answer to what was asked before is too old.
    """

    def __init__(self) -> None:
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

    def decide(self, transition: Transition, state: GameState) -> None:
        """A transition was decided: it waits for the log, and with it the game is in `state`."""
        self.waiting[transition.game_id] = transition
        self.put(transition.game_id, state)

    def last_sequence(self, game_id: str) -> int:
        """The sequence of the game's last event as the log has told it, or 0."""
        return self._last_sequences.get(game_id, 0)

    def settle(self, game_id: str, last_event: HealthEvent | None) -> None:
        """The log has told the game's last event; nothing of the game waits any more."""
        self.waiting.pop(game_id, None)
        self.unread.pop(game_id, None)
        if game_id in self.states:
            self.put(game_id, after_log(self.states[game_id], last_event))
            if last_event is not None:
                self._last_sequences[game_id] = last_event.sequence
            else:
                self._last_sequences.pop(game_id, None)

    def put(self, game_id: str, state: GameState | None) -> None:
        """The game is in `state`; in none where there is nothing to know of it."""
        if state is None:
            self.states.pop(game_id, None)
        else:
            self.states[game_id] = state
