"""The rules of hysteresis, by the behaviour observed of the reference."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from healthprobe.domain.event import Details, HealthEvent, ProbeFailedDetails, ProbeRecoveredDetails
from healthprobe.domain.hysteresis import GameState, Standing, after_failure, after_log, after_success
from healthprobe.domain.outcome import Failed

UNAVAILABLE = Failed(503, "unexpected status 503")
REFUSED = Failed(0, "connection refused")


@dataclass
class Game:
    """A game whose log takes every transition at once."""

    threshold: int = 3
    container: str = "c1"
    state: GameState | None = None
    events: list[Details] = field(default_factory=list)

    def fails(self, times: int = 1, *, with_: Failed = UNAVAILABLE) -> Game:
        for _ in range(times):
            self.state = after_failure(self.state, with_, self.container, self.threshold)
            self._commit()
        return self

    def succeeds(self, times: int = 1) -> Game:
        for _ in range(times):
            self.state = after_success(self.state)
            self._commit()
        return self

    def moves_to(self, container: str) -> Game:
        self.container = container
        return self

    def _commit(self) -> None:
        if self.state is not None and self.state.pending is not None:
            self.events.append(self.state.pending)
            instant = datetime(2026, 11, 23, 17, tzinfo=UTC)
            event = HealthEvent(len(self.events), "game-7", self.container, instant, self.state.pending)
            self.state = after_log(self.state, event)


def failed(count: int, status: int = 503, error: str = "unexpected status 503") -> ProbeFailedDetails:
    return ProbeFailedDetails(count, status, error)


recovered = ProbeRecoveredDetails


def test_an_engine_that_always_answers_has_no_state_and_no_event() -> None:
    game = Game().succeeds(5)
    assert game.events == []
    assert game.state is None


def test_two_failures_and_a_success_leave_no_event() -> None:
    game = Game().fails(2).succeeds()
    assert game.events == []
    assert game.state is None


def test_a_success_resets_the_count() -> None:
    assert Game().fails(2).succeeds().fails(2).events == []


def test_the_third_failure_in_a_row_publishes_and_the_fourth_does_not() -> None:
    game = Game().fails(2)
    assert game.events == []
    assert game.fails().events == [failed(3)]
    assert game.fails().events == [failed(3)]


def test_the_recovery_has_the_whole_run_and_the_next_incident_counts_from_zero() -> None:
    assert Game().fails(7).succeeds(2).fails(3).events == [failed(3), recovered(7), failed(3)]


def test_only_the_first_success_after_an_incident_is_a_recovery() -> None:
    assert Game().fails(3).succeeds(4).events == [failed(3), recovered(3)]


def test_a_recovered_game_has_no_state() -> None:
    assert Game().fails(3).succeeds().state is None


def test_the_last_failure_of_the_run_is_the_one_that_is_published() -> None:
    assert Game().fails(2).fails(with_=REFUSED).events == [failed(3, 0, "connection refused")]


def test_a_threshold_of_one_turns_every_change_into_a_transition() -> None:
    game = Game(threshold=1).fails().succeeds().fails().succeeds()
    assert game.events == [failed(1), recovered(1), failed(1), recovered(1)]


def test_failures_of_the_old_container_do_not_count_for_the_new_one() -> None:
    game = Game().fails(2).moves_to("c2").fails()
    assert game.events == []
    assert game.fails(2).events == [failed(3)]


def test_a_game_that_restarts_at_every_second_failure_never_reaches_the_threshold() -> None:
    game = Game()
    for start in range(10):
        game.moves_to(f"c{start}").fails(2)
    assert game.events == []


def test_an_open_incident_stays_open_over_a_new_container_until_a_success() -> None:
    game = Game().fails(3).moves_to("c2").fails(2)
    assert game.events == [failed(3)]
    assert game.succeeds().events == [failed(3), recovered(5)]


@pytest.mark.parametrize("threshold", [1, 2, 3, 10])
def test_one_failure_less_than_the_threshold_never_publishes(threshold: int) -> None:
    game = Game(threshold)
    for _ in range(5):
        game.fails(threshold - 1).succeeds()
    assert game.events == []
    assert game.fails(threshold).events == [failed(threshold)]


def test_successes_in_a_row_are_counted_from_the_last_failure() -> None:
    state = GameState(Standing.OPEN, 3, "c1")
    once = after_success(state, 3)
    twice = after_success(once, 3)
    assert once is not None
    assert twice is not None
    assert (once.consecutive_successes, twice.consecutive_successes, twice.pending) == (1, 2, None)
    assert after_failure(twice, UNAVAILABLE, "c1", 3).consecutive_successes == 0
    ended = after_success(twice, 3)
    assert ended is not None
    assert ended.pending == recovered(3)


def test_a_success_that_does_not_decide_is_counted_for_the_next() -> None:
    is_open: GameState | None = GameState(Standing.OPEN, 6, "c1")
    for _ in range(4):
        is_open = after_success(is_open, 2, decides=False)
        assert is_open is not None
        assert is_open.pending is None
    after = after_success(is_open, 2)
    assert after is not None
    assert after.pending == recovered(6)
