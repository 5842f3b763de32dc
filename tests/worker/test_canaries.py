"""The prober doubts itself first: where no canary answers, no failure of an engine counts."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from healthprobe.domain.outcome import HEALTHY, Failed, Inconclusive
from healthprobe.domain.target import ProbeTarget, parse_target
from healthprobe.testing.leases import ScriptedLeases
from healthprobe.testing.prober import UNAVAILABLE, Answer, Late
from healthprobe.testing.stage import Stage, game, run_for, ticks
from healthprobe.worker.worker import Worker

GAMES = [f"game-{number}" for number in range(200)]
CANARIES = [parse_target(game(name), 2.0) for name in ("gateway", "name-server")]
UNREACHABLE = Failed(0, "no route to host")


def cable(stage: Stage, *, out: tuple[float, float]) -> Callable[[ProbeTarget], Answer]:
    """Everything answers, but between these two moments nothing does."""

    def answer(_: ProbeTarget) -> Answer:
        return UNREACHABLE if out[0] <= stage.clock.monotonic() < out[1] else HEALTHY

    return answer


def watched(stage: Stage, **settings: object) -> Worker:
    return Worker(**stage.arguments(canaries=CANARIES, **settings))


@pytest.mark.parametrize("failures_threshold", [1, 3])
@pytest.mark.parametrize("out", [(0.0, 180.0), (11.3, 191.3), (12.65, 12.7)])
async def test_a_cable_that_is_pulled_for_three_minutes_makes_not_one_event_nor_one_when_it_is_back(
    out: tuple[float, float], failures_threshold: int
) -> None:
    stage = Stage(**dict.fromkeys(GAMES, HEALTHY))
    pulled = cable(stage, out=out)
    for name in (*GAMES, "gateway", "name-server"):
        stage.prober.script(name, pulled)
    await run_for(out[1] + 30.0, watched(stage, failures_threshold=failures_threshold).run())
    assert stage.log.offered == []
    assert stage.telemetry.outcomes_of(Failed) == 0
    assert stage.telemetry.outcomes_of(Inconclusive) > 0


async def test_without_canaries_the_same_cable_is_two_hundred_events() -> None:
    stage = Stage(**dict.fromkeys(GAMES, HEALTHY))
    stage.prober.script_all_others(cable(stage, out=(11.3, 191.3)))
    for name in GAMES:
        stage.prober.script(name, cable(stage, out=(11.3, 191.3)))
    await run_for(100.0, Worker(**stage.arguments()).run())
    assert len(stage.log.events) == 200


async def test_an_engine_that_fails_while_canaries_answer_is_published() -> None:
    stage = Stage(a=[*[UNAVAILABLE] * 4, HEALTHY], b=HEALTHY)
    await ticks(watched(stage), 6)
    assert stage.story == [("a", "probe_failed", 3), ("a", "probe_recovered", 4)]


async def test_one_canary_that_answers_is_enough() -> None:
    stage = Stage(a=UNAVAILABLE)
    stage.prober.script("gateway", UNREACHABLE)
    await ticks(watched(stage), 3)
    assert stage.story == [("a", "probe_failed", 3)]


async def test_a_canary_is_asked_after_the_failure_and_not_only_before() -> None:
    """The cable is pulled after the tick's own round, and the engine is under way for the last time that counts."""
    stage = Stage(a=[Late(0.5, UNREACHABLE)])
    stage.prober.script("gateway", [HEALTHY, UNREACHABLE])
    stage.prober.script("name-server", [HEALTHY, UNREACHABLE])
    await run_for(4.0, watched(stage, failures_threshold=1).run())
    assert stage.log.offered == []


async def test_the_canaries_are_asked_in_every_tick_though_no_engine_fails() -> None:
    stage = Stage(a=HEALTHY)
    await run_for(21.0, watched(stage).run())
    assert stage.prober.probed.count("gateway") == 5


async def test_a_thousand_dead_engines_do_not_make_a_thousand_rounds_of_canaries() -> None:
    stage = Stage(**{f"game-{number}": UNAVAILABLE for number in range(1_000)})
    await run_for(25.0, watched(stage).run())
    assert len(stage.log.events) == 1_000
    assert stage.prober.probed.count("gateway") <= 250


async def test_what_an_engine_gives_meanwhile_is_judged_in_the_order_in_which_it_came() -> None:
    """The failure waits for a slow canary, and the success that follows must not be judged before it."""
    stage = Stage(a=[UNAVAILABLE, UNAVAILABLE, UNAVAILABLE, HEALTHY])
    for canary in ("gateway", "name-server"):
        stage.prober.script(canary, Late(1.9, HEALTHY))
    await run_for(24.0, watched(stage, interval=0.5, probe_timeout=0.2).run())
    assert stage.story == [("a", "probe_failed", 3), ("a", "probe_recovered", 3)]


async def test_blindness_is_logged_once_and_so_is_its_end() -> None:
    stage = Stage(**dict.fromkeys(GAMES, HEALTHY))
    for name in (*GAMES, "gateway", "name-server"):
        stage.prober.script(name, cable(stage, out=(10.0, 40.0)))
    leases = ScriptedLeases()
    await run_for(60.0, watched(stage, shards=leases).run())
    (blind,) = stage.lines_of("the prober is blind: no canary answers, failures do not count")
    assert blind["err"] == "no route to host"
    assert blind["log_level"] == "error"
    assert len(stage.lines_of("the prober sees again")) == 1
    assert leases.sight == [False, True]


async def test_for_how_long_it_has_been_blind_can_be_seen() -> None:
    stage = Stage(a=HEALTHY)
    for canary in ("gateway", "name-server"):
        stage.prober.script(canary, UNREACHABLE)
    worker = watched(stage)
    assert worker.status.blind_for == 0.0
    await run_for(31.0, worker.run())
    assert worker.status.blind_for == pytest.approx(31.0, abs=0.1)


async def test_a_prober_that_breaks_on_its_canaries_is_blind_and_goes_on() -> None:
    stage = Stage(a=UNAVAILABLE)
    for canary in ("gateway", "name-server"):
        stage.prober.script(canary, [RuntimeError("a bug"), RuntimeError("a bug"), HEALTHY])
    await ticks(watched(stage), 6)
    assert stage.story == [("a", "probe_failed", 3)]
    assert stage.telemetry.outcomes_of(Inconclusive) >= 1


async def test_successes_count_while_it_is_blind() -> None:
    """What answers, answers: an incident may end though the canaries are gone."""
    stage = Stage(a=[UNAVAILABLE, HEALTHY])
    for canary in ("gateway", "name-server"):
        stage.prober.script(canary, [HEALTHY, UNREACHABLE])
    worker = watched(stage, failures_threshold=1)
    await ticks(worker, 4)
    assert worker.status.blind_for >= 0.0
    assert [event for _, event, _ in stage.story] == ["probe_failed", "probe_recovered"]


async def test_an_error_of_the_leases_that_hear_of_blindness_does_not_end_the_run() -> None:
    stage = Stage(a=[HEALTHY] * 12 + [UNAVAILABLE])
    for canary in ("gateway", "name-server"):
        stage.prober.script(canary, cable(stage, out=(10.0, 20.0)))

    class BrokenLeases(ScriptedLeases):
        def set_sight(self, *, sees: bool) -> None:
            raise RuntimeError("a bug")

    await run_for(120.0, watched(stage, shards=BrokenLeases()).run())
    assert stage.story == [("a", "probe_failed", 3)]
    assert stage.lines_of("internal error, going on")
