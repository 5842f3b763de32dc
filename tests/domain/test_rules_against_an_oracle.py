"""The rules agree with an oracle, a second and naive statement of them, for any sequence of outcomes and log answers.

The rules keep a small state. The oracle keeps none: it looks at the whole history each time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import groupby

from hypothesis import given, settings
from hypothesis import strategies as st

from healthprobe.domain.event import Details, HealthEvent, ProbeFailedDetails, ProbeRecoveredDetails
from healthprobe.domain.hysteresis import UNREAD, GameState, after_failure, after_log, after_success
from healthprobe.domain.outcome import Failed


@dataclass(frozen=True)
class Fails:
    status: int
    container: str


@dataclass(frozen=True)
class Succeeds:
    container: str


@dataclass(frozen=True)
class LogAnswers:
    """The log answers a pending append, or is read if none is pending."""

    acknowledgement_arrives: bool = True


@dataclass(frozen=True)
class AnotherInstanceWrites:
    """Another instance appends the next event first."""


@dataclass(frozen=True)
class LastEvent:
    """An entry of the oracle's history: the game's last event as the log gave it."""

    details: Details | None


containers = st.sampled_from(["c1", "c1", "c1", "c2"])
fails = st.builds(Fails, st.sampled_from([0, 500, 503]), containers)
actions = st.one_of(
    fails,
    fails,
    st.builds(Succeeds, containers),
    st.builds(LogAnswers),
    st.builds(LogAnswers, st.just(value=False)),
    st.builds(AnotherInstanceWrites),
)
Action = Fails | Succeeds | LogAnswers | AnotherInstanceWrites
Moment = Fails | Succeeds | LastEvent

# The oracle ---------------------------------------------------------------------------------------------------------


def expected_pending(history: Sequence[Moment], threshold: int) -> Details | None:
    """Returns the transition that is decided and not in the log yet, from the whole history."""
    decisions: dict[int, Details] = {}
    for now, moment in enumerate(history):
        read_at = last_read(history, now)
        if isinstance(moment, LastEvent) or read_at is None or decision_after(decisions, read_at):
            continue
        is_open = is_open_incident(history[read_at])
        if isinstance(moment, Succeeds) and is_open:
            decisions[now] = ProbeRecoveredDetails(run(history, decisions, now - 1))
        if isinstance(moment, Fails) and not is_open and run(history, decisions, now) >= threshold:
            error = f"unexpected status {moment.status}"
            decisions[now] = ProbeFailedDetails(run(history, decisions, now), moment.status, error)
    read_at = last_read(history, len(history))
    return None if read_at is None else decision_after(decisions, read_at)


def last_read(history: Sequence[Moment], before: int) -> int | None:
    return max((at for at in range(before) if isinstance(history[at], LastEvent)), default=None)


def decision_after(decisions: dict[int, Details], read_at: int) -> Details | None:
    return next((decision for at, decision in decisions.items() if at > read_at), None)


def is_open_incident(moment: Moment) -> bool:
    return isinstance(moment, LastEvent) and isinstance(moment.details, ProbeFailedDetails)


def in_incident(history: Sequence[Moment], decisions: dict[int, Details], before: int) -> bool:
    """Returns whether the game was in an incident, by what was decided or read before that moment."""
    read_at = last_read(history, before)
    if read_at is None:
        return False
    decided = decision_after({at: decision for at, decision in decisions.items() if at < before}, read_at)
    return isinstance(decided, ProbeFailedDetails) if decided else is_open_incident(history[read_at])


def run(history: Sequence[Moment], decisions: dict[int, Details], now: int) -> int:
    """Returns the failures of the current run: those since it began, and those that the log has."""
    began = max((at for at in range(now + 1) if begins_run(history, decisions, at)), default=0)
    length = 0
    for at in range(began, now + 1):
        moment = history[at]
        if isinstance(moment, Fails):
            length += 1
        elif isinstance(moment, LastEvent) and isinstance(moment.details, ProbeFailedDetails):
            published = moment.details.consecutive_failures
            length = length + published if last_read(history, at) is None else max(length, published)
    return length


def begins_run(history: Sequence[Moment], decisions: dict[int, Details], at: int) -> bool:
    """Returns whether a run begins here: after a success, in a new container, or because the log says so."""
    moment = history[at]
    down = in_incident(history, decisions, at)
    if isinstance(moment, Succeeds):
        return not down or isinstance(decisions.get(at), ProbeRecoveredDetails)
    if isinstance(moment, Fails):
        before = [other for other in history[:at] if isinstance(other, Fails)]
        return not down and bool(before) and before[-1].container != moment.container
    return down and not is_open_incident(moment)


# The rules with a log with compare-and-set, as a worker uses them ----------------------------------------------------


@dataclass
class Simulation:
    threshold: int
    state: GameState | None = UNREAD
    appending: HealthEvent | None = None
    known: int = 0
    log: list[HealthEvent] = field(default_factory=list)
    history: list[Moment] = field(default_factory=list)
    clock: datetime = datetime(2026, 11, 23, 17, tzinfo=UTC)

    def apply(self, action: Action) -> None:
        self.clock += timedelta(seconds=1)
        match action:
            case Fails(status, container):
                self.history.append(action)
                failed = Failed(status, f"unexpected status {status}")
                self.state = after_failure(self.state, failed, container, self.threshold)
                self._start_append(container)
            case Succeeds(container):
                self.history.append(action)
                self.state = after_success(self.state)
                self._start_append(container)
            case LogAnswers(acknowledgement_arrives):
                self._finish_append(arrives=acknowledgement_arrives)
            case AnotherInstanceWrites():
                is_open = bool(self.log) and isinstance(self.log[-1].details, ProbeFailedDetails)
                details = ProbeRecoveredDetails(4) if is_open else ProbeFailedDetails(4, 0, "connection refused")
                self.log.append(HealthEvent(len(self.log) + 1, "game-7", "c9", self.clock, details))

    def _start_append(self, container: str) -> None:
        if self.appending is None and self.state is not None and self.state.pending is not None:
            self.appending = HealthEvent(self.known + 1, "game-7", container, self.clock, self.state.pending)

    def _finish_append(self, *, arrives: bool) -> None:
        if self.appending is not None and self.appending.sequence == len(self.log) + 1:
            self.log.append(self.appending)
        if arrives:
            last = self.log[-1] if self.log else None
            self.history.append(LastEvent(last.details if last else None))
            self.state = after_log(self.state, last)
            self.known = last.sequence if last else 0
            self.appending = None


@settings(max_examples=500, deadline=None)
@given(st.lists(actions, max_size=30), st.integers(1, 4))
def test_the_rules_agree_with_the_oracle_at_every_step(script: list[Action], threshold: int) -> None:
    simulation = Simulation(threshold)
    for action in script:
        simulation.apply(action)
        pending = None if simulation.state is None else simulation.state.pending
        assert pending == expected_pending(simulation.history, threshold)


@settings(max_examples=500, deadline=None)
@given(st.lists(actions, max_size=60), st.integers(1, 4))
def test_events_alternate_and_begin_with_a_failure(script: list[Action], threshold: int) -> None:
    simulation = Simulation(threshold)
    for action in [*script, LogAnswers()]:
        simulation.apply(action)
    kinds = [event.event_type for event in simulation.log]
    assert kinds == [["probe_failed", "probe_recovered"][at % 2] for at in range(len(kinds))]
    assert [event.sequence for event in simulation.log] == list(range(1, len(kinds) + 1))


@settings(max_examples=500, deadline=None)
@given(st.lists(actions, max_size=60), st.integers(2, 4))
def test_a_game_fails_only_after_enough_failures_in_the_same_container(script: list[Action], threshold: int) -> None:
    simulation = Simulation(threshold)
    for action in script:
        waited = simulation.appending
        simulation.apply(action)
        if (
            simulation.appending is not None
            and waited is None
            and isinstance(simulation.appending.details, ProbeFailedDetails)
        ):
            outcomes = [moment for moment in simulation.history if not isinstance(moment, LastEvent)][-threshold:]
            assert len(outcomes) == threshold
            assert all(isinstance(outcome, Fails) for outcome in outcomes)
            assert len({outcome.container for outcome in outcomes}) == 1


@settings(max_examples=300, deadline=None)
@given(st.lists(st.booleans(), max_size=60), st.integers(1, 4))
def test_with_a_log_that_always_answers_the_events_are_the_runs_that_reach_the_threshold(
    outcomes: list[bool], threshold: int
) -> None:
    simulation = Simulation(threshold)
    simulation.apply(LogAnswers())
    for healthy in outcomes:
        simulation.apply(Succeeds("c1") if healthy else Fails(503, "c1"))
        simulation.apply(LogAnswers())
    runs = [(healthy, len(list(group))) for healthy, group in groupby(outcomes)]
    expected: list[Details] = []
    for at, (healthy, length) in enumerate(runs):
        if not healthy and length >= threshold:
            expected.append(ProbeFailedDetails(threshold, 503, "unexpected status 503"))
            if at + 1 < len(runs):
                expected.append(ProbeRecoveredDetails(length))
    assert [event.details for event in simulation.log] == expected


@settings(max_examples=300, deadline=None)
@given(st.lists(actions, max_size=60), st.integers(1, 4))
def test_a_lasting_recovery_and_an_answering_log_leave_no_state(script: list[Action], threshold: int) -> None:
    simulation = Simulation(threshold)
    for action in script:
        simulation.apply(action)
    for _ in range(2):
        simulation.apply(LogAnswers())
        simulation.apply(Succeeds("c1"))
    simulation.apply(LogAnswers())
    assert simulation.state is None
    assert not simulation.log or simulation.log[-1].event_type == "probe_recovered"
