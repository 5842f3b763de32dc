"""The states of games: what the log has confirmed about each, and the transitions that are not in the log yet."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from itertools import count

from healthprobe.domain.event import HealthEvent, ProbeEndedDetails
from healthprobe.domain.hysteresis import UNREAD, GameState, Standing, Transition, after_log


@dataclass(frozen=True, slots=True)
class SetAside:
    """A game whose transition the log cannot hold, or whose id it cannot look up (then `transition` is None)."""

    game_id: str
    error: str
    transition: Transition | None


class GameStates:
    """The states of the games that are in trouble or whose last event was not read yet. Other games have no state.

    `waiting` holds the transitions that the log does not have yet, at most one a game, in the order of their decision.
    `unread` holds the games whose last event was not read yet, each with the number of its admission: an answer for a
    game that left and came back meanwhile is outdated. `set_aside` holds, by id, the games that the log cannot hold:
    nothing more is decided about them until `retry`. `changed` is set when there is something to write or to read.
    """

    def __init__(self) -> None:
        self.states: dict[str, GameState] = {}
        self.unread: dict[str, int] = {}
        self.waiting: dict[str, Transition] = {}
        self.set_aside: dict[str, SetAside] = {}
        self._recorded_at: dict[str, float] = {}
        self.changed = asyncio.Event()
        self._last_sequences: dict[str, int] = {}
        self._admissions = count(1)

    def add(self, game_id: str) -> None:
        """A game appeared: nothing about it is decided before its last event is read from the log."""
        self.set_aside.pop(game_id, None)
        waiting = self.waiting.get(game_id)
        if waiting is not None and isinstance(waiting.details, ProbeEndedDetails):
            self._forget_waiting(game_id)  # it runs after all: its incident goes on
            waiting = None
        if waiting is None:
            self.states[game_id] = UNREAD
            self.unread[game_id] = next(self._admissions)
        else:
            self.states[game_id] = GameState(Standing.UNREAD, pending=waiting.details)

    def remove(self, game_id: str) -> None:
        """A game is no longer listed: its count is dropped. A transition that waits for the log is kept."""
        self.states.pop(game_id, None)
        self.unread.pop(game_id, None)
        self._last_sequences.pop(game_id, None)

    def abandon(self, game_id: str) -> None:
        """Another instance has the game: its transition is dropped as well."""
        self.remove(game_id)
        self._forget_waiting(game_id)
        self.set_aside.pop(game_id, None)

    def record(self, transition: Transition, state: GameState | None, now: float) -> None:
        """Keeps a transition, decided `now` (monotonic seconds), for the log; its game is in `state` meanwhile."""
        self.waiting[transition.game_id] = transition
        self._recorded_at[transition.game_id] = now
        self.set(transition.game_id, state)
        self.changed.set()

    def acknowledge(self, game_id: str, last_event: HealthEvent | None) -> None:
        """Adopts the game's last event in the log as its state. Nothing of the game waits any more."""
        self._forget_waiting(game_id)
        self.unread.pop(game_id, None)
        if game_id in self.states:
            self.set(game_id, after_log(self.states[game_id], last_event))
            if last_event is not None:
                self._last_sequences[game_id] = last_event.sequence
            else:
                self._last_sequences.pop(game_id, None)

    def refuse(self, game_id: str, error: str) -> None:
        """The log cannot hold a value of the game: sets it aside, so that the others do not wait for it."""
        transition = self._forget_waiting(game_id)
        self.unread.pop(game_id, None)
        self.set_aside[game_id] = SetAside(game_id, error, transition)

    def retry(self, now: float) -> None:
        """Lets the games that were set aside wait for the log again."""
        for game_id, refused in self.set_aside.items():
            if refused.transition is not None:
                self.waiting[game_id] = refused.transition
                self._recorded_at[game_id] = now
            elif game_id in self.states:
                self.unread[game_id] = next(self._admissions)
        self.set_aside.clear()

    @property
    def waiting_since(self) -> float | None:
        """When the transition that waits longest was decided, in monotonic seconds; None where none waits."""
        return next((self._recorded_at[game_id] for game_id in self.waiting), None)  # in the order of their decision

    def _forget_waiting(self, game_id: str) -> Transition | None:
        self._recorded_at.pop(game_id, None)
        return self.waiting.pop(game_id, None)

    def set(self, game_id: str, state: GameState | None) -> None:
        """Sets the state of a game; None where there is nothing to know of it."""
        if state is None:
            self.states.pop(game_id, None)
        else:
            self.states[game_id] = state

    def last_sequence(self, game_id: str) -> int:
        """Returns the sequence of the game's last event in the log, or 0."""
        return self._last_sequences.get(game_id, 0)
