"""A transition that suppression holds is lost with the process, and never becomes an event."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest
from benchmarks.engines import Engines, plain_engines
from tests.support.waiting import until
from tests.system.runs import Run, Runs

pytestmark = pytest.mark.slow

ENGINES = 40
OPTIONS = "--interval 500ms --timeout 200ms --failures 3 --hold 50%"
HELD = "many engines fail at once: transitions are held"
RELEASED = "the engines still fail: held transitions are released"
BLIP = "the engines answer again: held transitions are dropped"


async def until_decisions_are_held(runs: Runs, engines: Engines) -> Run:
    """A run whose engines all fail at once."""
    runs.watch({f"game-{number}": at for number, at in enumerate(engines.endpoints(ENGINES))})
    run = runs.start(OPTIONS)
    await run.started()
    await until(lambda: engines.requests() > 2 * ENGINES, "every engine was asked")
    engines.fail()
    await until(lambda: run.logged(HELD), "it is a mass failure")
    return run


async def test_a_transition_held_when_the_process_is_killed_is_never_an_event(runs: Runs, tmp_path: Path) -> None:
    with plain_engines(tmp_path) as engines:
        run = await until_decisions_are_held(runs, engines)
        asked = engines.requests()
        await until(lambda: engines.requests() > asked + 2 * ENGINES, "every engine has failed three times")
        run.send(signal.SIGSTOP)
        assert not run.logged(RELEASED), "nothing was released before the kill"
        run.kill()
        engines.heal()
        second = runs.start(OPTIONS)
        await second.started()
        asked = engines.requests()
        await until(lambda: engines.requests() > asked + 4 * ENGINES, "every engine was asked again")
        await second.stopped()
    assert await runs.events() == []
    assert runs.printed == []


async def test_a_short_mass_failure_makes_no_event_and_a_lasting_one_one_for_each_game(
    runs: Runs, tmp_path: Path
) -> None:
    with plain_engines(tmp_path) as engines:
        run = await until_decisions_are_held(runs, engines)
        engines.heal()
        await until(lambda: run.logged(BLIP), "it was a blip")
        assert run.printed == []
        engines.fail()
        await until(lambda: len(run.printed) == ENGINES, "all fail")
        engines.heal()
        await until(lambda: len(run.printed) == 2 * ENGINES, "all have recovered")
        await asyncio.sleep(0.6)
        await run.stopped()
    events = await runs.events()
    assert len(events) == 2 * ENGINES
    assert [event.event_type.value for event in events[:ENGINES]] == ["probe_failed"] * ENGINES
