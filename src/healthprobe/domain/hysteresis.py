"""Hysteresis: how outcomes become transitions. The reference's rules; the log is the only truth about incidents."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum, auto

from healthprobe.domain.event import Details, HealthEvent, ProbeFailedDetails, ProbeRecoveredDetails
from healthprobe.domain.outcome import Failed


@dataclass(frozen=True, slots=True)
class Transition:
    """A decision and when it was seen. `follows` is the sequence of the game's last event when it was decided, or 0.

    What was decided on a state that the log has left meanwhile is not written: another instance saw it too.
    """

    game_id: str
    container_id: str
    occurred_at: datetime
    details: Details
    follows: int

    @property
    def event(self) -> HealthEvent:
        """The event that it becomes, if nothing comes between."""
        return HealthEvent(self.follows + 1, self.game_id, self.container_id, self.occurred_at, self.details)


class Standing(Enum):
    """How a game's last event in the log leaves it."""

    UNREAD = auto()
    """The log has not told yet: outcomes are counted and decide nothing."""

    CLOSED = auto()
    """No event, or a `probe_recovered`."""

    OPEN = auto()
    """A `probe_failed`: the game is in an incident."""


@dataclass(frozen=True, slots=True)
class GameState:
    """What is known of a game that is in trouble, or that the log has not told about yet.

    `consecutive_failures` is the current run, and in an incident the whole run since its first failure. `container_id`
    is the container that the run was counted in. `pending` was decided and is not in the log yet.
    `consecutive_successes` are those in an incident that would end it, had there been enough of them.
    """

    standing: Standing
    consecutive_failures: int = 0
    container_id: str = ""
    pending: Details | None = None
    consecutive_successes: int = 0

    @property
    def in_incident(self) -> bool:
        """Whether the game has, or is about to have, a `probe_failed` as its last event."""
        if self.pending is not None:
            return isinstance(self.pending, ProbeFailedDetails)
        return self.standing is Standing.OPEN


UNREAD = GameState(Standing.UNREAD)
"""A game that just appeared: nothing counted, the log not read."""

_CALM = GameState(Standing.CLOSED)


def after_failure(
    state: GameState | None, failed: Failed, container_id: str, threshold: int, *, decides: bool = True
) -> GameState:
    """The state after one more failure; its `pending` is new where this failure reached the threshold.

    A new container starts a count that no incident has published yet afresh; an open incident stays open. One that
    `decides` nothing is counted, and the next that does decides for it.
    """
    before = state or _CALM
    inherited = before.consecutive_failures
    if not before.in_incident and before.container_id != container_id:
        inherited = 0
    count = inherited + 1
    pending = before.pending
    if decides and pending is None and before.standing is Standing.CLOSED and count >= threshold:
        pending = ProbeFailedDetails(count, failed.last_status, failed.last_error)
    return GameState(before.standing, count, container_id, pending)


def after_success(state: GameState | None, threshold: int = 1, *, decides: bool = True) -> GameState | None:
    """The state after a success; its `pending` is new where that is the last of `threshold` which end an incident.

    A count that was not published goes back to nothing, silently. While a `probe_failed` waits for the log, a success
    decides nothing and leaves the run as it is: the next success after the log took it ends the incident. One that
    `decides` nothing is counted, and the next that does decides for it.
    """
    if state is None:
        return None
    if state.pending is None and state.standing is Standing.OPEN:
        in_a_row = state.consecutive_successes + 1
        if not decides or in_a_row < threshold:
            return replace(state, consecutive_successes=in_a_row)
        return GameState(
            Standing.OPEN, container_id=state.container_id, pending=ProbeRecoveredDetails(state.consecutive_failures)
        )
    if state.in_incident:
        return state
    return _unless_calm(replace(state, consecutive_failures=0))


def after_log(state: GameState | None, last_event: HealthEvent | None) -> GameState | None:
    """The state once the log has told the game's last event: after a read at its appearance, or after an append.

    The log is right whatever we had decided: a transition that another instance wrote first is adopted, not repeated.
    What was counted meanwhile is kept, and the next outcome decides again; only an incident that the log says is over
    takes its count with it, for neither a success nor a new container interrupted that count.
    """
    before = state or _CALM
    counted = before.consecutive_failures
    if last_event is not None and isinstance(last_event.details, ProbeFailedDetails):
        published = last_event.details.consecutive_failures
        run = published + counted if before.standing is Standing.UNREAD else max(published, counted)
        return GameState(Standing.OPEN, run, before.container_id)
    if before.in_incident:
        counted = 0
    return _unless_calm(GameState(Standing.CLOSED, counted, before.container_id))


def _unless_calm(state: GameState) -> GameState | None:
    """Nothing, where there is nothing to remember: healthy games hold no state."""
    calm = state.standing is Standing.CLOSED and state.consecutive_failures == 0 and state.pending is None
    return None if calm else state
