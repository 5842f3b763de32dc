"""The state of a game while the log is away, before it is read, and when it differs from our decision."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from healthprobe.domain.event import Details, HealthEvent, ProbeFailedDetails, ProbeRecoveredDetails
from healthprobe.domain.hysteresis import UNREAD, GameState, Standing, after_failure, after_log, after_success
from healthprobe.domain.outcome import Failed

THRESHOLD = 3
UNAVAILABLE = Failed(503, "unexpected status 503")
FAILED_AT_THREE = ProbeFailedDetails(3, 503, "unexpected status 503")


def event(details: Details, sequence: int = 1, container: str = "c1") -> HealthEvent:
    return HealthEvent(sequence, "game-7", container, datetime(2026, 11, 23, 17, tzinfo=UTC), details)


def failures(state: GameState | None, times: int, container: str = "c1") -> GameState | None:
    for _ in range(times):
        state = after_failure(state, UNAVAILABLE, container, THRESHOLD)
    return state


def in_incident(failures_so_far: int = 3) -> GameState:
    state = after_log(failures(None, 3), event(FAILED_AT_THREE))
    assert state is not None
    return failures(state, failures_so_far - 3) or state


class TestWhileATransitionWaitsForTheLog:
    def test_it_stays_as_decided_while_later_failures_are_counted(self) -> None:
        state = failures(None, 6)
        assert state == GameState(Standing.CLOSED, 6, "c1", FAILED_AT_THREE)

    def test_a_success_decides_nothing_before_the_log_has_the_failure(self) -> None:
        waiting = failures(None, 3)
        assert after_success(waiting) == waiting

    def test_the_success_after_the_log_took_the_failure_ends_the_incident_with_the_whole_run(self) -> None:
        state = after_log(after_success(failures(None, 4)), event(FAILED_AT_THREE))
        state = after_success(state)
        assert state is not None
        assert state.pending == ProbeRecoveredDetails(4)

    def test_a_game_is_in_an_incident_from_the_decision_on(self) -> None:
        two, three = failures(None, 2), failures(None, 3)
        assert two is not None
        assert three is not None
        assert (two.in_incident, three.in_incident) == (False, True)
        recovering = after_success(in_incident())
        assert recovering is not None
        assert not recovering.in_incident

    def test_failures_while_a_recovery_waits_count_from_zero_and_decide_nothing(self) -> None:
        state = failures(after_success(in_incident(5)), 4)
        assert state == GameState(Standing.OPEN, 4, "c1", ProbeRecoveredDetails(5))

    def test_the_failure_after_the_log_took_the_recovery_decides_with_all_that_were_counted(self) -> None:
        waiting = failures(after_success(in_incident(5)), 4)
        state = failures(after_log(waiting, event(ProbeRecoveredDetails(5), 2)), 1)
        assert state is not None
        assert state.pending == ProbeFailedDetails(5, 503, "unexpected status 503")

    def test_a_success_while_a_recovery_waits_resets_the_count(self) -> None:
        state = after_success(failures(after_success(in_incident()), 2))
        assert state == GameState(Standing.OPEN, 0, "c1", ProbeRecoveredDetails(3))

    def test_a_new_container_while_a_recovery_waits_resets_the_count(self) -> None:
        state = failures(failures(after_success(in_incident()), 2), 1, container="c2")
        assert state == GameState(Standing.OPEN, 1, "c2", ProbeRecoveredDetails(3))

    def test_a_new_container_while_a_failure_waits_belongs_to_the_same_incident(self) -> None:
        state = failures(failures(None, 3), 2, container="c2")
        assert state == GameState(Standing.CLOSED, 5, "c2", FAILED_AT_THREE)


class TestBeforeTheLogWasRead:
    def test_no_number_of_failures_decides_anything(self) -> None:
        state = failures(UNREAD, 50)
        assert state == GameState(Standing.UNREAD, 50, "c1")

    def test_a_success_decides_nothing_and_leaves_the_game_unread(self) -> None:
        assert after_success(UNREAD) == UNREAD
        assert after_success(failures(UNREAD, 2)) == GameState(Standing.UNREAD, 0, "c1")

    def test_a_game_without_events_has_no_state(self) -> None:
        assert after_log(UNREAD, None) is None

    def test_a_game_whose_last_event_is_a_recovery_has_no_state(self) -> None:
        assert after_log(UNREAD, event(ProbeRecoveredDetails(9), 2)) is None

    def test_an_open_incident_is_adopted_and_the_next_success_ends_it(self) -> None:
        state = after_log(UNREAD, event(FAILED_AT_THREE))
        assert state == GameState(Standing.OPEN, 3, "")
        state = after_success(state)
        assert state is not None
        assert state.pending == ProbeRecoveredDetails(3)

    def test_an_open_incident_is_not_published_again(self) -> None:
        state = failures(after_log(UNREAD, event(FAILED_AT_THREE)), 20)
        assert state == GameState(Standing.OPEN, 23, "c1")

    def test_failures_counted_meanwhile_are_added_to_the_open_incident(self) -> None:
        assert after_log(failures(UNREAD, 2), event(FAILED_AT_THREE)) == GameState(Standing.OPEN, 5, "c1")

    def test_failures_counted_meanwhile_are_kept_without_an_incident_and_the_next_one_decides(self) -> None:
        state = after_log(failures(UNREAD, 4), None)
        assert state == GameState(Standing.CLOSED, 4, "c1")
        state = failures(state, 1)
        assert state is not None
        assert state.pending == ProbeFailedDetails(5, 503, "unexpected status 503")

    def test_a_new_container_resets_the_count(self) -> None:
        assert failures(failures(UNREAD, 2), 1, container="c2") == GameState(Standing.UNREAD, 1, "c2")


class TestWhenAnotherInstanceWroteFirst:
    def test_its_failure_is_adopted_in_place_of_ours_with_the_longer_run(self) -> None:
        theirs = event(ProbeFailedDetails(3, 0, "connection refused"))
        assert after_log(failures(None, 5), theirs) == GameState(Standing.OPEN, 5, "c1")
        longer = event(ProbeFailedDetails(9, 0, "connection refused"))
        assert after_log(failures(None, 3), longer) == GameState(Standing.OPEN, 9, "c1")

    def test_its_recovery_is_adopted_in_place_of_ours(self) -> None:
        assert after_log(after_success(in_incident(3)), event(ProbeRecoveredDetails(8), 2)) is None

    def test_its_newer_failure_is_adopted_over_our_recovery(self) -> None:
        theirs = event(ProbeFailedDetails(4, 503, "unexpected status 503"), 3)
        assert after_log(after_success(in_incident(3)), theirs) == GameState(Standing.OPEN, 4, "c1")

    def test_a_log_without_events_of_the_game_closes_its_incident(self) -> None:
        assert after_log(after_success(in_incident(3)), None) is None

    @pytest.mark.parametrize("last", [None, event(ProbeRecoveredDetails(8), 2)])
    def test_a_refused_failure_is_not_published_again_before_a_whole_new_run(self, last: HealthEvent | None) -> None:
        waiting = after_success(failures(None, 3))  # while it waited the engine was well: three in a row is over
        state = failures(after_log(waiting, last), 1)
        assert state is not None
        assert state.pending is None

    def test_the_count_of_an_incident_that_another_instance_ended_is_dropped(self) -> None:
        assert after_log(in_incident(7), event(ProbeRecoveredDetails(8), 2)) is None


def test_states_are_never_changed_in_place() -> None:
    before = failures(None, 2)
    after_failure(before, UNAVAILABLE, "c1", THRESHOLD)
    after_success(before)
    assert before == GameState(Standing.CLOSED, 2, "c1")
