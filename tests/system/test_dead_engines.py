"""Engines that are dead from the start: each fails once and in time, and delays no other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from tests.support.waiting import until
from tests.system.runs import Runs

from healthprobe.domain.event import EventType
from healthprobe.domain.schedule import phase_fraction, spread_window
from healthprobe.testing.engines import Script
from healthprobe.testing.fleet import FleetProcess

INTERVAL, TIMEOUT = 0.5, 0.2
TIMES = "--interval 500ms --timeout 200ms"

HEALTHY, HANGING, REFUSING = Script(), Script(((0.0, "hang"),)), Script(((0.0, "crash"),))

ON_TIME = 50
"""At most so many milliseconds after its due time a probe begins, as a rule. What one in a hundred may take is promised
for a machine that has nothing else to do, and measured there (`benchmarks`): a test may run on any."""


async def test_thirty_silent_engines_of_three_hundred_fail_at_their_third_due_time_and_delay_no_other(
    runs: Runs,
) -> None:
    scripts = {f"game-{number}": HEALTHY if number % 10 else HANGING for number in range(300)}
    silent = {game_id for game_id, script in scripts.items() if script is HANGING}
    with FleetProcess(scripts) as fleet:
        runs.watch(fleet.endpoints)
        run = runs.start(f"{TIMES} --failures 3")
        began = await run.started()
        await until(lambda: len(run.printed) == len(silent), "every silent engine has failed")
        await asyncio.sleep(3 * INTERVAL)
        figures = await run.stopped()
    events = await runs.events()
    assert len(events) == len(silent)
    assert {event.game_id for event in events} == silent
    ticks_late = 0.0
    for event in events:
        assert event.event_type is EventType.PROBE_FAILED
        assert event.details.as_document() == {
            "consecutive_failures": 3,
            "last_status": 0,
            "last_error": "timed out after 200ms waiting for the response head",
        }
        third_due_time = began + 2 * INTERVAL + spread_window(INTERVAL, TIMEOUT).phase(phase_fraction(event.game_id))
        late = event.occurred_at.timestamp() - third_due_time - TIMEOUT
        ticks, rest = divmod(late + 0.02, INTERVAL)
        assert ticks >= 0, "it came too early"
        assert rest < INTERVAL / 2
        ticks_late += ticks
    # only where the machine was so busy that the program stood still does it take another tick, and its figures say so
    assert ticks_late <= figures["inconclusive"] + figures["dropped_ticks"] * len(silent)
    assert figures["late_ms_p50"] < ON_TIME


@pytest.mark.proves("all-engines-dead")
async def test_a_run_whose_engines_are_all_dead_stays_up_and_reports_each_once_with_its_cause(
    runs_in: Callable[[str], Runs],
) -> None:
    async def failed_once_each(name: str, endpoints: dict[str, str], cause: str) -> None:
        runs = runs_in(name)
        runs.watch(endpoints)
        run = runs.start(f"{TIMES} --failures 2")
        await run.started()
        await until(lambda: len(run.printed) == len(endpoints), "every engine has failed")
        await asyncio.sleep(3 * INTERVAL)
        assert run.is_up
        figures = await run.stopped()
        events = await runs.events()
        assert sorted(event.game_id for event in events) == sorted(endpoints)
        for event in events:
            assert event.details.as_document() == {"consecutive_failures": 2, "last_status": 0, "last_error": cause}
        assert figures["healthy"] == 0

    games = [f"game-{number}" for number in range(100)]
    with (
        FleetProcess(dict.fromkeys(games, REFUSING)) as refusing,
        FleetProcess(dict.fromkeys(games, HANGING)) as hanging,
    ):
        await asyncio.gather(
            # a name that every resolver knows not to exist, without asking anybody (RFC 7686)
            failed_once_each(
                "unresolvable",
                dict.fromkeys(games, "http://engine.onion:8080"),
                "cannot resolve the name engine.onion: no such name",
            ),
            failed_once_each("refusing", refusing.endpoints, "connection refused"),
            failed_once_each("hanging", hanging.endpoints, "timed out after 200ms waiting for the response head"),
        )


@pytest.mark.slow
@pytest.mark.alone
async def test_twice_as_many_engines_as_file_descriptors_are_probed_without_a_failure(runs: Runs) -> None:
    with FleetProcess({f"game-{number}": HEALTHY for number in range(400)}) as fleet:
        runs.watch(fleet.endpoints)
        run = runs.start("--interval 1s --timeout 500ms --failures 1", prefix=("prlimit", "--nofile=200:200"))
        await run.started()
        await asyncio.sleep(3.5)
        figures = await run.stopped()
    assert await runs.events() == []
    assert figures["failed"] == 0
    assert figures["healthy"] >= 2 * 400
