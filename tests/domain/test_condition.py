"""How a game stands, as people see it."""

from __future__ import annotations

import pytest

from healthprobe.domain.event import ProbeFailedDetails, ProbeRecoveredDetails
from healthprobe.domain.fleet_status import Condition, condition_of
from healthprobe.domain.hysteresis import UNREAD, GameState, Standing

FAILED = ProbeFailedDetails(3, 503, "unexpected status 503")


@pytest.mark.parametrize(
    ("state", "asked", "condition"),
    [
        (None, True, Condition.HEALTHY),
        (None, False, Condition.UNKNOWN),
        (UNREAD, True, Condition.HEALTHY),
        (UNREAD, False, Condition.UNKNOWN),
        (GameState(Standing.UNREAD, 2), True, Condition.FAILING),
        (GameState(Standing.CLOSED, 1), True, Condition.FAILING),
        (GameState(Standing.CLOSED, 3, pending=FAILED), True, Condition.DOWN),
        (GameState(Standing.OPEN, 3), True, Condition.DOWN),
        (GameState(Standing.OPEN, 3), False, Condition.DOWN),
        (GameState(Standing.OPEN, 0, pending=ProbeRecoveredDetails(3)), True, Condition.HEALTHY),
        (GameState(Standing.OPEN, 1, pending=ProbeRecoveredDetails(3)), True, Condition.FAILING),
    ],
)
def test_a_game_stands_as_the_log_says_or_is_about_to_say(
    *, state: GameState | None, asked: bool, condition: Condition
) -> None:
    assert condition_of(state, asked=asked) is condition
