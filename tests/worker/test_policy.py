"""Calmer: grace for what starts, successes in a row, damping for what flaps, silence, and rules of a game's own."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from healthprobe.domain.outcome import HEALTHY, Failed
from healthprobe.domain.policy import FlapRule, Policy
from healthprobe.domain.target import ProbeTarget
from healthprobe.testing.clock import FIRST_INSTANT
from healthprobe.testing.prober import UNAVAILABLE, Answer
from healthprobe.testing.stage import Stage, game, run_for, ticks
from healthprobe.worker.worker import Worker


def by(policy: Policy, stage: Stage, **settings: object) -> Worker:
    return Worker(**stage.arguments(policy=policy, **settings))


# Grace ---------------------------------------------------------------------------------------------------------------


async def test_a_game_that_needs_eight_seconds_to_start_is_not_published_within_its_grace() -> None:
    stage = Stage(a=[UNAVAILABLE] * 4 + [HEALTHY])
    await run_for(30.0, by(Policy(grace=18.0), stage).run())
    assert stage.story == []
    assert stage.telemetry.outcomes_of(Failed) == 4, "it is counted as a probe that failed, and not against the game"


async def test_what_still_fails_after_its_grace_is_counted_from_then_on() -> None:
    stage = Stage(a=UNAVAILABLE)
    await run_for(12.0 + 15.0, by(Policy(grace=10.0), stage).run())
    assert stage.story == [("a", "probe_failed", 3)]


async def test_the_first_success_ends_the_grace() -> None:
    stage = Stage(a=[HEALTHY, UNAVAILABLE])
    await run_for(18.0, by(Policy(grace=3600.0), stage).run())
    assert stage.story == [("a", "probe_failed", 3)]


async def test_a_new_container_has_a_grace_of_its_own() -> None:
    stage = Stage(a=HEALTHY)
    worker = by(Policy(grace=3600.0), stage)
    await ticks(worker, 2)
    stage.records.put(game("a", container="c2"))
    stage.prober.script("a", UNAVAILABLE)
    await ticks(worker, 5)
    assert stage.story == []


# Successes -----------------------------------------------------------------------------------------------------------


async def test_the_second_success_in_a_row_ends_the_incident() -> None:
    stage = Stage(a=[UNAVAILABLE] * 3 + [HEALTHY, UNAVAILABLE, HEALTHY, HEALTHY, HEALTHY])
    await ticks(by(Policy(successes=2), stage), 8)
    assert stage.story == [("a", "probe_failed", 3), ("a", "probe_recovered", 4)]


async def test_one_success_still_resets_failures_that_were_not_published() -> None:
    stage = Stage(a=[UNAVAILABLE, UNAVAILABLE, HEALTHY] * 5)
    await ticks(by(Policy(successes=3), stage), 15)
    assert stage.story == []


# Flapping ------------------------------------------------------------------------------------------------------------


def flapping(stage: Stage, until: float) -> None:
    """The engine of game a is up for a minute and down for a minute, until then; after that it is up."""

    def answer(_: ProbeTarget) -> Answer:
        now = stage.clock.monotonic()
        return UNAVAILABLE if now < until and now % 120.0 >= 60.0 else HEALTHY

    stage.prober.script("a", answer)


async def test_a_game_that_flaps_all_night_stays_in_one_incident_until_it_is_steady() -> None:
    stage = Stage(a=HEALTHY)
    flapping(stage, until=3 * 3600.0)
    worker = by(Policy(flap=FlapRule(6, 3600.0)), stage)
    await run_for(3 * 3600.0 + 1800.0, worker.run())
    assert len(stage.log.events) == 6, "three incidents make it flap, and the third lasts"
    last = stage.log.events[-1]
    steady_from = FIRST_INSTANT + timedelta(seconds=3 * 3600.0)
    assert last.event_type == "probe_recovered"
    assert timedelta(0) <= last.occurred_at - steady_from - timedelta(seconds=900.0) < timedelta(seconds=6.0)
    assert worker.status.flapping_games == 0


async def test_without_the_rule_the_same_night_is_hundreds_of_events() -> None:
    stage = Stage(a=HEALTHY)
    flapping(stage, until=3 * 3600.0)
    await run_for(3 * 3600.0, Worker(**stage.arguments()).run())
    assert len(stage.log.events) >= 175


async def test_it_can_be_seen_that_a_game_is_flapping() -> None:
    stage = Stage(a=HEALTHY, b=HEALTHY)
    flapping(stage, until=3 * 3600.0)
    worker = by(Policy(flap=FlapRule(6, 3600.0)), stage)
    await run_for(3600.0, worker.run())
    assert worker.status.is_flapping("a")
    assert not worker.status.is_flapping("b")
    assert worker.status.flapping_games == 1


async def test_five_transitions_in_an_hour_are_not_six() -> None:
    stage = Stage(a=HEALTHY)
    flapping(stage, until=300.0)
    await run_for(1000.0, by(Policy(flap=FlapRule(6, 3600.0)), stage).run())
    assert [event for _, event, _ in stage.story] == ["probe_failed", "probe_recovered"] * 2


# Silence -------------------------------------------------------------------------------------------------------------


def silence(stage: Stage, game_id: str, until: float) -> None:
    stage.records.put(replace(game(game_id), silenced_until=FIRST_INSTANT + timedelta(seconds=until)))


async def test_a_silence_holds_back_no_event() -> None:
    stage = Stage(a=[HEALTHY, *[UNAVAILABLE] * 6, HEALTHY])
    silence(stage, "a", until=3600.0)
    await run_for(60.0, Worker(**stage.arguments()).run())
    assert stage.story == [("a", "probe_failed", 3), ("a", "probe_recovered", 6)]


async def test_silence_alone_is_no_reason_to_let_go_of_a_connection() -> None:
    stage = Stage(a=HEALTHY)
    worker = Worker(**stage.arguments())
    await worker.tick()
    silence(stage, "a", until=60.0)
    await worker.tick()
    assert stage.prober.forgotten == []
    (first, second) = [probe.target for probe in stage.prober.probes]
    assert first is second


# Rules of a game's own -----------------------------------------------------------------------------------------------


def own(stage: Stage, game_id: str, settings: str) -> None:
    stage.records.put(replace(game(game_id), probe=settings))


async def test_a_game_may_have_thresholds_of_its_own() -> None:
    stage = Stage(a=[UNAVAILABLE, HEALTHY], b=UNAVAILABLE)
    own(stage, "a", '{"failures": 1, "successes": 2}')
    worker = Worker(**stage.arguments())
    await worker.tick()
    assert stage.story == [("a", "probe_failed", 1)]
    await ticks(worker, 2)
    assert stage.story == [("a", "probe_failed", 1), ("a", "probe_recovered", 1), ("b", "probe_failed", 3)]


async def test_a_game_may_be_asked_in_each_third_tick() -> None:
    stage = Stage(a=HEALTHY, b=HEALTHY)
    own(stage, "a", '{"every": 3}')
    await ticks(Worker(**stage.arguments()), 30)
    assert stage.prober.probed.count("a") in {10, 11}
    assert stage.prober.probed.count("b") == 30


async def test_games_that_are_asked_seldom_do_not_all_have_the_same_tick() -> None:
    stage = Stage(**{f"game-{number}": HEALTHY for number in range(300)})
    for number in range(300):
        own(stage, f"game-{number}", '{"every": 10}')
    worker = Worker(**stage.arguments())
    await ticks(worker, 10)
    before = len(stage.prober.probes)
    await worker.tick()
    assert 10 <= len(stage.prober.probes) - before <= 60


@pytest.mark.parametrize("timeout", [0.2, 4.5])
async def test_a_timeout_of_its_own_moves_its_phase_so_that_it_fits_its_tick(timeout: float) -> None:
    stage = Stage(**{f"game-{number}": HEALTHY for number in range(50)})
    for number in range(50):
        own(stage, f"game-{number}", f'{{"timeout": "{timeout * 1000:.0f}ms"}}')
    await run_for(5.0, Worker(**stage.arguments()).run())
    began = [probe.began for probe in stage.prober.probes]
    assert len(began) == 50
    assert max(began) + timeout <= 5.0
    assert max(began) - min(began) > 0.8 * (5.0 - timeout - 0.2)
