"""When most of a fleet fails within an interval, nothing is published before another interval has confirmed it."""

from __future__ import annotations

import pytest

from healthprobe.domain.event import ProbeFailedDetails
from healthprobe.domain.outcome import HEALTHY
from healthprobe.domain.policy import Policy
from healthprobe.domain.target import ProbeTarget
from healthprobe.testing.clock import FIRST_INSTANT
from healthprobe.testing.prober import UNAVAILABLE, Answer
from healthprobe.testing.stage import Stage, run_for
from healthprobe.worker.worker import Worker

GAMES = [f"game-{number}" for number in range(100)]
HOLD = Policy(hold=0.5)
FOR_EVER = 1e9


def fleet(*, failing: int, out: tuple[float, float]) -> Stage:
    """A hundred engines, so many of which fail between two moments."""
    stage = Stage(**dict.fromkeys(GAMES, HEALTHY))

    def answer(_: ProbeTarget) -> Answer:
        return UNAVAILABLE if out[0] <= stage.clock.monotonic() < out[1] else HEALTHY

    for name in GAMES[:failing]:
        stage.prober.script(name, answer)
    return stage


def holding(stage: Stage, policy: Policy = HOLD) -> Worker:
    return Worker(**stage.arguments(policy=policy))


async def test_a_blip_of_sixteen_seconds_over_the_whole_fleet_publishes_nothing() -> None:
    """By then every engine has failed three times in a row, and every decision is held."""
    stage = fleet(failing=100, out=(10.0, 26.0))
    await run_for(60.0, holding(stage).run())
    assert stage.log.offered == []
    assert len(stage.lines_of("many engines fail at once: transitions are held")) == 1
    assert len(stage.lines_of("the engines answer again: held transitions are dropped")) == 1


async def test_without_the_option_the_same_blip_wakes_everybody_twice() -> None:
    stage = fleet(failing=100, out=(10.0, 26.0))
    await run_for(60.0, Worker(**stage.arguments()).run())
    assert len(stage.log.events) == 200


async def test_a_dead_fleet_is_published_an_interval_later_with_the_time_of_the_decision() -> None:
    stage = fleet(failing=100, out=(10.0, FOR_EVER))
    await run_for(25.0, holding(stage).run())
    assert stage.log.events == [], "at 20 s every engine has failed three times, and at 23 s all is decided"

    began = stage.clock.monotonic()
    again = fleet(failing=100, out=(began + 10.0, FOR_EVER))
    await run_for(29.0, holding(again).run())
    assert {event.game_id for event in again.log.events} == set(GAMES)
    for event in again.log.events:
        decided = (event.occurred_at - FIRST_INSTANT).total_seconds() - began
        assert 20.0 <= decided < 23.0
        assert event.details == ProbeFailedDetails(3, 503, "unexpected status 503")
    assert len(again.lines_of("the engines still fail: held transitions are released")) == 1


@pytest.mark.parametrize(("failing", "held"), [(50, False), (51, True)])
async def test_more_than_the_share_must_fail(failing: int, held: bool) -> None:  # noqa: FBT001
    stage = fleet(failing=failing, out=(10.0, FOR_EVER))
    worker = holding(stage)
    await run_for(24.0, worker.run())
    assert bool(stage.lines_of("many engines fail at once: transitions are held")) is held


async def test_four_engines_are_never_a_mass() -> None:
    stage = Stage(**dict.fromkeys(GAMES[:4], UNAVAILABLE))
    await run_for(18.0, holding(stage).run())
    assert len(stage.log.events) == 4


async def test_an_engine_that_stays_dead_after_the_blip_is_published_at_its_next_failure() -> None:
    stage = fleet(failing=100, out=(10.0, 26.0))
    stage.prober.script("game-0", lambda _: UNAVAILABLE if stage.clock.monotonic() >= 10.0 else HEALTHY)
    await run_for(60.0, holding(stage).run())
    assert [(game, event) for game, event, _ in stage.story] == [("game-0", "probe_failed")]


async def test_engines_that_fail_one_by_one_are_no_mass_failure() -> None:
    stage = Stage(**dict.fromkeys(GAMES, HEALTHY))
    for number, name in enumerate(GAMES):
        stage.prober.script(
            name, lambda _, at=10.0 + 5.0 * number: UNAVAILABLE if stage.clock.monotonic() >= at else HEALTHY
        )
    await run_for(600.0, holding(stage).run())
    assert len(stage.log.events) == 100
    assert stage.lines_of("many engines fail at once: transitions are held") == []


async def test_a_second_mass_failure_is_held_like_the_first() -> None:
    stage = Stage(**dict.fromkeys(GAMES, HEALTHY))

    def answer(_: ProbeTarget) -> Answer:
        return UNAVAILABLE if stage.clock.monotonic() % 100.0 > 85.0 else HEALTHY

    for name in GAMES:
        stage.prober.script(name, answer)
    await run_for(400.0, holding(stage).run())
    assert stage.log.offered == []
    assert len(stage.lines_of("many engines fail at once: transitions are held")) == 4


async def test_what_is_held_can_be_seen_and_is_gone_with_the_process() -> None:
    stage = fleet(failing=100, out=(10.0, FOR_EVER))
    worker = holding(stage)
    await run_for(23.0, worker.run())
    assert worker.status.held_decisions > 0
    reported = len(stage.log.events)
    for name in GAMES:
        stage.prober.script(name, HEALTHY)
    await run_for(60.0, holding(stage).run())
    assert len(stage.log.events) == 2 * reported, "each published game has recovered, and nothing else was written"


async def test_a_fleet_that_is_dead_from_the_start_is_held_like_any_other_and_then_published() -> None:
    stage = Stage(**dict.fromkeys(GAMES, UNAVAILABLE))
    await run_for(14.9, holding(stage).run())
    assert stage.log.events == []
    again = Stage(**dict.fromkeys(GAMES, UNAVAILABLE))
    await run_for(20.0, holding(again).run())
    assert {event.game_id for event in again.log.events} == set(GAMES)


async def test_a_game_published_before_the_mass_failure_counts_as_proof_of_it() -> None:
    """With a threshold of one, half of the fleet is published at once; the other half waits for one interval."""
    stage = fleet(failing=100, out=(10.0, FOR_EVER))
    await run_for(14.9, Worker(**stage.arguments(policy=HOLD, failures_threshold=1)).run())
    assert len(stage.log.events) == 50
    again = fleet(failing=100, out=(stage.clock.monotonic() + 10.0, FOR_EVER))
    await run_for(18.5, Worker(**again.arguments(policy=HOLD, failures_threshold=1)).run())
    assert len(again.log.events) == 100
