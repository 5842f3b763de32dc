"""Hysteresis: the pure functions that turn outcomes into transitions.

The rules are the reference's, except that the state of an incident is what the log says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum, auto

from healthprobe.domain.event import Details, HealthEvent, ProbeFailedDetails, ProbeRecoveredDetails
from healthprobe.domain.labels import no_labels
from healthprobe.domain.outcome import Failed


@dataclass(frozen=True, slots=True)
class Transition:
    """A decision of hysteresis. `follows` is the sequence of the game's last event at the decision, or 0.

    The log refuses a transition if another event follows that one by now: another instance wrote it first.
    """

    game_id: str
    container_id: str
    occurred_at: datetime
    details: Details
    follows: int
    labels: Mapping[str, str] = field(default_factory=no_labels, hash=False)

    @property
    def event(self) -> HealthEvent:
        """The event to append to the log."""
        sequence, container_id = self.follows + 1, self.container_id
        return HealthEvent(sequence, self.game_id, container_id, self.occurred_at, self.details, labels=self.labels)


class Standing(Enum):
    """Whether the log has an open incident of a game."""

    UNREAD = auto()
    """The log was not read yet: outcomes are counted and decide nothing."""

    CLOSED = auto()
    """The last event is a `probe_recovered` or a `probe_ended`, or there is none."""

    OPEN = auto()
    """The last event is a `probe_failed`."""


@dataclass(frozen=True, slots=True)
class GameState:
    """The state of a game that has failures, an incident, or an unread log. A game without a state is healthy.

    `consecutive_failures` is the current run; in an incident the whole run since its first failure. `container_id` is
    the container in which the run was counted. `pending` was decided and is not in the log yet.
    `consecutive_successes` is the current run of successes in an incident.
    """

    standing: Standing
    consecutive_failures: int = 0
    container_id: str = ""
    pending: Details | None = None
    consecutive_successes: int = 0

    @property
    def in_incident(self) -> bool:
        """Whether the game's last event is a `probe_failed`, or will be once the log has the pending one."""
        if self.pending is not None:
            return isinstance(self.pending, ProbeFailedDetails)
        return self.standing is Standing.OPEN


UNREAD = GameState(Standing.UNREAD)
"""The state of a game that just appeared."""

_NO_STATE = GameState(Standing.CLOSED)


def after_failure(state: GameState | None, failed: Failed, container_id: str, threshold: int) -> GameState:
    """Returns the state after a failure; its `pending` is set if this failure reached the threshold.

    In a new container an unpublished count starts from 0; an open incident stays open.
    """
    before = state or _NO_STATE
    is_new_container = not before.in_incident and before.container_id != container_id
    count = 1 if is_new_container else before.consecutive_failures + 1
    pending = before.pending
    if pending is None and before.standing is Standing.CLOSED and count >= threshold:
        pending = ProbeFailedDetails(count, failed.last_status, failed.last_error)
    return GameState(before.standing, count, container_id, pending)


def after_success(state: GameState | None, threshold: int = 1, *, decides: bool = True) -> GameState | None:
    """Returns the state after a success; its `pending` is set if this success ends an incident.

    An unpublished count goes back to 0, silently. While a `probe_failed` waits for the log, a success decides nothing
    and leaves the count: the next success after the log took it ends the incident. A success that does not `decide` is
    counted only, and the next one decides.
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
    return _none_if_healthy(replace(state, consecutive_failures=0))


def after_log(state: GameState | None, last_event: HealthEvent | None) -> GameState | None:
    """Returns the state once the game's last event in the log is known, from a read or an append.

    The log is right whatever was decided here: a transition that another instance wrote first is adopted, not repeated.
    What was counted meanwhile is kept, and the next outcome decides again. Only if the log closed an incident that is
    open here, its count is dropped, because neither a success nor a new container has interrupted it.
    """
    before = state or _NO_STATE
    counted = before.consecutive_failures
    if last_event is not None and isinstance(last_event.details, ProbeFailedDetails):
        published = last_event.details.consecutive_failures
        run = published + counted if before.standing is Standing.UNREAD else max(published, counted)
        return GameState(Standing.OPEN, run, before.container_id)
    if before.in_incident:
        counted = 0
    return _none_if_healthy(GameState(Standing.CLOSED, counted, before.container_id))


def _none_if_healthy(state: GameState) -> GameState | None:
    is_healthy = state.standing is Standing.CLOSED and state.consecutive_failures == 0 and state.pending is None
    return None if is_healthy else state
