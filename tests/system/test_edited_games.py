"""The list of games is edited while the program runs: by another process in the store, by hand in a file."""

from __future__ import annotations

import asyncio
import time

from tests.support.program import Program
from tests.support.waiting import until
from tests.system.life import EMBEDDED, Lives

from healthprobe.testing.engines import ScriptedEngine

INTERVAL = 0.4
AT_ONCE = "--interval 400ms --timeout 150ms --failures 1"

NEXT_TICK = 2 * INTERVAL + 1.0
"""How soon an edit shows, in seconds: the next tick is an interval away at most, the game's place in it less than
another; the rest is for a busy machine."""


async def test_games_that_another_process_adds_and_removes_are_taken_over_at_the_next_tick(lives: Lives) -> None:
    async with ScriptedEngine() as old, ScriptedEngine() as new:
        await lives.embed({"game-1": old.endpoint})
        life = lives.begin(AT_ONCE, records=EMBEDDED)
        await life.began()

        await runtimes(lives, "add", "game-2", new.endpoint, "--container", "c0ffee")
        added = time.monotonic()
        await until(lambda: new.requests, "the added game is probed")
        assert time.monotonic() - added < NEXT_TICK
        await new.become(503)
        await until(lambda: life.printed, "the added game is told to have failed")
        assert life.printed[0]["container_id"] == "c0ffee"

        await runtimes(lives, "remove", "game-2")
        await asyncio.sleep(NEXT_TICK)
        asked, asked_others = new.requests, old.requests
        await new.become(200)
        await asyncio.sleep(3 * INTERVAL)
        assert new.requests == asked
        assert old.requests >= asked_others + 2

        await runtimes(lives, "add", "game-2", new.endpoint, "--container", "c0ffee-2")
        await until(lambda: len(life.printed) == 2, "the game that came back is told to have recovered")
        await life.stopped()
    events = [(event.id, event.event_type, event.container_id) for event in await lives.events()]
    assert events == [("game-2:1", "probe_failed", "c0ffee"), ("game-2:2", "probe_recovered", "c0ffee-2")]


async def test_a_file_that_breaks_keeps_the_last_good_list_in_force_and_is_complained_of_once(lives: Lives) -> None:
    async with ScriptedEngine() as old, ScriptedEngine() as new:
        lives.watch({"game-1": old.endpoint})
        life = lives.begin(AT_ONCE)
        await life.began()
        await until(lambda: old.requests, "the game is probed")

        lives.write('[\n{"game_id": 7}\n]')
        await until(lambda: life.told("list running records"), "the broken file is complained of")
        asked = old.requests
        await until(lambda: old.requests >= asked + 4, "the last good list stays in force")
        await old.become(503)
        await until(lambda: life.printed, "its game is told to have failed")
        (complaint,) = life.told("list running records")
        assert (complaint["level"], complaint["games_in_force"]) == ("WARNING", 1)
        assert complaint["err"].startswith("games.json:2: ")
        assert "game_id" in complaint["err"]

        lives.watch({"game-1": old.endpoint, "game-2": new.endpoint})
        await until(lambda: new.requests, "the mended file is taken over")
        assert len(life.told("running records are listed again")) == 1
        await asyncio.sleep(2 * INTERVAL)
        figures = await life.stopped()
    assert [event.id for event in await lives.events()] == ["game-1:1"]
    assert figures["listing_errors"] >= 4


async def runtimes(lives: Lives, *arguments: str) -> None:
    """`healthprobe runtimes`, in a process of its own."""
    edit = await asyncio.to_thread(Program(lives.folder), "runtimes", *arguments, "--records", EMBEDDED)
    assert edit.returncode == 0, edit.stderr
