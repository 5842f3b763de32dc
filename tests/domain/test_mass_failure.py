"""A mass failure: more than the share of the healthy engines, and at least five, fail within one interval."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthprobe.domain.mass_failure import MINIMUM, MassFailure


def fail(mass: MassFailure, games: range, *, of: int, at: float = 0.0) -> None:
    """Lets these games fail one after the other in a healthy fleet."""
    for number in games:
        mass.failed(f"game-{number}", at, of - number - 1)


@pytest.mark.parametrize(
    ("failing", "fleet", "is_on"), [(50, 100, False), (51, 100, True), (4, 4, False), (5, 9, True)]
)
def test_a_mass_failure_takes_more_than_the_share_and_five(failing: int, fleet: int, is_on: bool) -> None:  # noqa: FBT001
    mass = MassFailure(0.5, 5.0)
    fail(mass, range(failing), of=fleet)
    assert mass.is_on is is_on


def test_failures_that_are_more_than_an_interval_apart_do_not_add_up() -> None:
    mass = MassFailure(0.5, 5.0)
    fail(mass, range(40), of=100, at=0.0)
    fail(mass, range(40, 70), of=100, at=5.0)
    assert not mass.is_on, "thirty of the sixty that were healthy is not more than half"


def test_it_holds_while_enough_of_the_cohort_fail() -> None:
    mass = MassFailure(0.5, 5.0)
    fail(mass, range(100), of=100)
    for number in range(49):
        mass.answered(f"game-{number}")
        assert mass.holds
    mass.answered("game-49")
    assert mass.is_on
    assert not mass.holds


def test_an_ended_mass_failure_is_forgotten() -> None:
    mass = MassFailure(0.5, 5.0)
    fail(mass, range(100), of=100)
    mass.end()
    assert not mass.is_on
    fail(mass, range(4), of=100)
    assert not mass.is_on


def test_a_game_that_fails_during_it_joins_the_cohort() -> None:
    mass = MassFailure(0.5, 5.0)
    fail(mass, range(60), of=100)
    fail(mass, range(60, 100), of=100, at=4.0)
    for number in range(49):
        mass.answered(f"game-{number}")
    assert mass.holds


@given(st.lists(st.tuples(st.integers(0, 20), st.booleans(), st.floats(0, 3)), max_size=80), st.integers(20, 60))
def test_it_is_never_on_with_fewer_than_five_failing_games(
    happenings: list[tuple[int, bool, float]], fleet: int
) -> None:
    mass, now, failing = MassFailure(0.2, 5.0), 0.0, set[str]()
    for number, fails, later in happenings:
        now += later
        name = f"game-{number}"
        was_on = mass.is_on
        if not fails:
            mass.answered(name)
            failing.discard(name)
        elif name not in failing:
            mass.failed(name, now, fleet - len(failing) - 1)
            failing.add(name)
        if mass.is_on and not was_on:
            assert len(failing) >= MINIMUM
            assert mass.holds
