"""Any sequence of outcomes, containers and words from the log, against a second and naive statement of the rules.

The rules keep a small state and move it on. The oracle keeps none: it looks back over everything that happened, as a
person with the whole record on paper would.
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
    """The log takes what waits, or refuses it; where nothing waits, it is read."""

    acknowledgement_arrives: bool = True


@dataclass(frozen=True)
class AnotherInstanceWrites:
    """Whatever comes next in the log's own order, before anything of ours."""


@dataclass(frozen=True)
class Told:
    """For the oracle's paper: what the log said the game's last event is."""

    details: Details | None


containers = st.sampled_from(["c1", "c1", "c1", "c2"])
fails = st.builds(Fails, st.sampled_from([0, 500, 503]), containers)
happenings = st.one_of(
    fails,
    fails,
    st.builds(Succeeds, containers),
    st.builds(LogAnswers),
    st.builds(LogAnswers, st.just(value=False)),
    st.builds(AnotherInstanceWrites),
)
Happening = Fails | Succeeds | LogAnswers | AnotherInstanceWrites
Moment = Fails | Succeeds | Told

# The oracle ---------------------------------------------------------------------------------------------------------


def what_waits(paper: Sequence[Moment], threshold: int) -> Details | None:
    """The transition that is decided and not told by the log yet, from the whole record alone."""
    decisions: dict[int, Details] = {}
    for now, moment in enumerate(paper):
        told = last_told(paper, now)
        if isinstance(moment, Told) or told is None or waiting(decisions, told):
            continue
        is_open = says_open(paper[told])
        if isinstance(moment, Succeeds) and is_open:
            decisions[now] = ProbeRecoveredDetails(run(paper, decisions, now - 1))
        if isinstance(moment, Fails) and not is_open and run(paper, decisions, now) >= threshold:
            error = f"unexpected status {moment.status}"
            decisions[now] = ProbeFailedDetails(run(paper, decisions, now), moment.status, error)
    told = last_told(paper, len(paper))
    return None if told is None else waiting(decisions, told)


def last_told(paper: Sequence[Moment], before: int) -> int | None:
    return max((at for at in range(before) if isinstance(paper[at], Told)), default=None)


def waiting(decisions: dict[int, Details], told: int) -> Details | None:
    return next((decision for at, decision in decisions.items() if at > told), None)


def says_open(moment: Moment) -> bool:
    return isinstance(moment, Told) and isinstance(moment.details, ProbeFailedDetails)


def in_incident(paper: Sequence[Moment], decisions: dict[int, Details], before: int) -> bool:
    """Whether the game was down, for all that was decided or told before that moment."""
    told = last_told(paper, before)
    if told is None:
        return False
    decided = waiting({at: decision for at, decision in decisions.items() if at < before}, told)
    return isinstance(decided, ProbeFailedDetails) if decided else says_open(paper[told])


def run(paper: Sequence[Moment], decisions: dict[int, Details], now: int) -> int:
    """How many failures the current run has: those since it last began, and those that the log knows of."""
    began = max((at for at in range(now + 1) if begins_anew(paper, decisions, at)), default=0)
    length = 0
    for at in range(began, now + 1):
        moment = paper[at]
        if isinstance(moment, Fails):
            length += 1
        elif isinstance(moment, Told) and isinstance(moment.details, ProbeFailedDetails):
            published = moment.details.consecutive_failures
            length = length + published if last_told(paper, at) is None else max(length, published)
    return length


def begins_anew(paper: Sequence[Moment], decisions: dict[int, Details], at: int) -> bool:
    """Whether nothing before that moment belongs to the run: it is well, has moved, or the log says it was well."""
    moment = paper[at]
    down = in_incident(paper, decisions, at)
    if isinstance(moment, Succeeds):
        return not down or isinstance(decisions.get(at), ProbeRecoveredDetails)
    if isinstance(moment, Fails):
        before = [other for other in paper[:at] if isinstance(other, Fails)]
        return not down and bool(before) and before[-1].container != moment.container
    return down and not says_open(moment)


# The rules, and a log with compare-and-set, as a worker uses them ---------------------------------------------------


@dataclass
class Play:
    threshold: int
    state: GameState | None = UNREAD
    offered: HealthEvent | None = None
    known: int = 0
    log: list[HealthEvent] = field(default_factory=list)
    paper: list[Moment] = field(default_factory=list)
    clock: datetime = datetime(2026, 11, 23, 17, tzinfo=UTC)

    def happens(self, happening: Happening) -> None:
        self.clock += timedelta(seconds=1)
        match happening:
            case Fails(status, container):
                self.paper.append(happening)
                failed = Failed(status, f"unexpected status {status}")
                self.state = after_failure(self.state, failed, container, self.threshold)
                self._offer(container)
            case Succeeds(container):
                self.paper.append(happening)
                self.state = after_success(self.state)
                self._offer(container)
            case LogAnswers(acknowledgement_arrives):
                self._append(arrives=acknowledgement_arrives)
            case AnotherInstanceWrites():
                is_open = bool(self.log) and isinstance(self.log[-1].details, ProbeFailedDetails)
                details = ProbeRecoveredDetails(4) if is_open else ProbeFailedDetails(4, 0, "connection refused")
                self.log.append(HealthEvent(len(self.log) + 1, "game-7", "c9", self.clock, details))

    def _offer(self, container: str) -> None:
        if self.offered is None and self.state is not None and self.state.pending is not None:
            self.offered = HealthEvent(self.known + 1, "game-7", container, self.clock, self.state.pending)

    def _append(self, *, arrives: bool) -> None:
        if self.offered is not None and self.offered.sequence == len(self.log) + 1:
            self.log.append(self.offered)
        if arrives:
            stands = self.log[-1] if self.log else None
            self.paper.append(Told(stands.details if stands else None))
            self.state = after_log(self.state, stands)
            self.known = stands.sequence if stands else 0
            self.offered = None


@settings(max_examples=500, deadline=None)
@given(st.lists(happenings, max_size=30), st.integers(1, 4))
def test_the_rules_agree_with_the_oracle_at_every_step(script: list[Happening], threshold: int) -> None:
    play = Play(threshold)
    for happening in script:
        play.happens(happening)
        pending = None if play.state is None else play.state.pending
        assert pending == what_waits(play.paper, threshold)


@settings(max_examples=500, deadline=None)
@given(st.lists(happenings, max_size=60), st.integers(1, 4))
def test_events_alternate_and_begin_with_a_failure(script: list[Happening], threshold: int) -> None:
    play = Play(threshold)
    for happening in [*script, LogAnswers()]:
        play.happens(happening)
    kinds = [event.event_type for event in play.log]
    assert kinds == [["probe_failed", "probe_recovered"][at % 2] for at in range(len(kinds))]
    assert [event.sequence for event in play.log] == list(range(1, len(kinds) + 1))


@settings(max_examples=500, deadline=None)
@given(st.lists(happenings, max_size=60), st.integers(2, 4))
def test_a_game_fails_only_after_enough_failures_in_the_same_container(script: list[Happening], threshold: int) -> None:
    play = Play(threshold)
    for happening in script:
        waited = play.offered
        play.happens(happening)
        if play.offered is not None and waited is None and isinstance(play.offered.details, ProbeFailedDetails):
            outcomes = [moment for moment in play.paper if not isinstance(moment, Told)][-threshold:]
            assert len(outcomes) == threshold
            assert all(isinstance(outcome, Fails) for outcome in outcomes)
            assert len({outcome.container for outcome in outcomes}) == 1


@settings(max_examples=300, deadline=None)
@given(st.lists(st.booleans(), max_size=60), st.integers(1, 4))
def test_with_a_log_that_always_answers_the_events_are_the_runs_that_reach_the_threshold(
    outcomes: list[bool], threshold: int
) -> None:
    play = Play(threshold)
    play.happens(LogAnswers())
    for healthy in outcomes:
        play.happens(Succeeds("c1") if healthy else Fails(503, "c1"))
        play.happens(LogAnswers())
    runs = [(healthy, len(list(group))) for healthy, group in groupby(outcomes)]
    expected: list[Details] = []
    for at, (healthy, length) in enumerate(runs):
        if not healthy and length >= threshold:
            expected.append(ProbeFailedDetails(threshold, 503, "unexpected status 503"))
            if at + 1 < len(runs):
                expected.append(ProbeRecoveredDetails(length))
    assert [event.details for event in play.log] == expected


@settings(max_examples=300, deadline=None)
@given(st.lists(happenings, max_size=60), st.integers(1, 4))
def test_a_lasting_recovery_and_an_answering_log_leave_no_state(script: list[Happening], threshold: int) -> None:
    play = Play(threshold)
    for happening in script:
        play.happens(happening)
    for _ in range(2):
        play.happens(LogAnswers())
        play.happens(Succeeds("c1"))
    play.happens(LogAnswers())
    assert play.state is None
    assert not play.log or play.log[-1].event_type == "probe_recovered"
