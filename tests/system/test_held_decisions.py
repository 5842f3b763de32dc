"""A decision that is held survives kill -9 neither as an event nor as a lie."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest
from benchmarks.engines import Engines, plain_engines
from tests.support.waiting import until
from tests.system.life import Life, Lives

pytestmark = pytest.mark.slow

ENGINES = 40
OPTIONS = "--interval 500ms --timeout 200ms --failures 3 --hold 50%"
HELD = "many engines fail at once: transitions are held"
RELEASED = "the engines still fail: held transitions are released"
BLIP = "the engines answer again: held transitions are dropped"


async def until_decisions_are_held(lives: Lives, engines: Engines) -> Life:
    """A run whose engines all fail at once."""
    lives.watch({f"game-{number}": at for number, at in enumerate(engines.endpoints(ENGINES))})
    life = lives.begin(OPTIONS)
    await life.began()
    await until(lambda: engines.requests() > 2 * ENGINES, "every engine was asked")
    engines.fail()
    await until(lambda: life.told(HELD), "it is a mass failure")
    return life


async def test_what_was_held_when_the_process_was_killed_is_nowhere(lives: Lives, tmp_path: Path) -> None:
    with plain_engines(tmp_path) as engines:
        life = await until_decisions_are_held(lives, engines)
        asked = engines.requests()
        await until(lambda: engines.requests() > asked + 2 * ENGINES, "every engine has failed three times")
        life.send(signal.SIGSTOP)
        assert not life.told(RELEASED), "nothing was released before the kill"
        life.kill()
        engines.heal()
        second = lives.begin(OPTIONS)
        await second.began()
        asked = engines.requests()
        await until(lambda: engines.requests() > asked + 4 * ENGINES, "every engine was asked again")
        await second.stopped()
    assert await lives.events() == []
    assert lives.printed == []


async def test_a_blip_is_dropped_and_a_dead_fleet_is_told_of_once_each(lives: Lives, tmp_path: Path) -> None:
    with plain_engines(tmp_path) as engines:
        life = await until_decisions_are_held(lives, engines)
        engines.heal()
        await until(lambda: life.told(BLIP), "it was a blip")
        assert life.printed == []
        engines.fail()
        await until(lambda: len(life.printed) == ENGINES, "all are told of")
        engines.heal()
        await until(lambda: len(life.printed) == 2 * ENGINES, "all have recovered")
        await asyncio.sleep(0.6)
        await life.stopped()
    events = await lives.events()
    assert len(events) == 2 * ENGINES
    assert [event.event_type.value for event in events[:ENGINES]] == ["probe_failed"] * ENGINES
