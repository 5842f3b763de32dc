"""The list of games is edited while the program runs: by another process in the store, by hand in a file."""

from __future__ import annotations

import asyncio
import time

from tests.support.program import Program
from tests.support.waiting import until
from tests.system.runs import EMBEDDED, Runs

from healthprobe.testing.engines import ScriptedEngine

INTERVAL = 0.4
AT_ONCE = "--interval 400ms --timeout 150ms --failures 1"

NEXT_TICK = 2 * INTERVAL + 1.0
"""How soon an edit shows, in seconds: the next tick is an interval away at most, the game's place in it less than
another; the rest is for a busy machine."""


async def test_games_that_another_process_adds_and_removes_are_followed_from_the_next_tick(runs: Runs) -> None:
    async with ScriptedEngine() as old, ScriptedEngine() as new:
        await runs.embed({"game-1": old.endpoint})
        run = runs.start(AT_ONCE, records=EMBEDDED)
        await run.started()

        await runtimes(runs, "add", "game-2", new.endpoint, "--container", "c0ffee")
        added = time.monotonic()
        await until(lambda: new.requests, "the added game is probed")
        assert time.monotonic() - added < NEXT_TICK
        await new.become(503)
        await until(lambda: run.printed, "the added game fails")
        assert run.printed[0]["container_id"] == "c0ffee"

        await runtimes(runs, "remove", "game-2")
        await asyncio.sleep(NEXT_TICK)
        asked, asked_others = new.requests, old.requests
        await new.become(200)
        await asyncio.sleep(3 * INTERVAL)
        assert new.requests == asked
        assert old.requests >= asked_others + 2

        await runtimes(runs, "add", "game-2", new.endpoint, "--container", "c0ffee-2")
        await until(lambda: len(run.printed) == 2, "the game that came back recovers")
        await run.stopped()
    events = [(event.id, event.event_type, event.container_id) for event in await runs.events()]
    assert events == [("game-2:1", "probe_failed", "c0ffee"), ("game-2:2", "probe_recovered", "c0ffee-2")]


async def test_a_file_that_breaks_keeps_the_last_good_list_in_force_and_is_logged_once(runs: Runs) -> None:
    async with ScriptedEngine() as old, ScriptedEngine() as new:
        runs.watch({"game-1": old.endpoint})
        run = runs.start(AT_ONCE)
        await run.started()
        await until(lambda: old.requests, "the game is probed")

        runs.write('[\n{"game_id": 7}\n]')
        await until(lambda: run.logged("list running records"), "the broken file is complained of")
        asked = old.requests
        await until(lambda: old.requests >= asked + 4, "the last good list stays in force")
        await old.become(503)
        await until(lambda: run.printed, "its game fails")
        (complaint,) = run.logged("list running records")
        assert (complaint["level"], complaint["games_in_force"]) == ("WARNING", 1)
        assert complaint["err"].startswith("games.json:2: ")
        assert "game_id" in complaint["err"]

        runs.watch({"game-1": old.endpoint, "game-2": new.endpoint})
        await until(lambda: new.requests, "the mended file is taken over")
        assert len(run.logged("running records are listed again")) == 1
        await asyncio.sleep(2 * INTERVAL)
        figures = await run.stopped()
    assert [event.id for event in await runs.events()] == ["game-1:1"]
    assert figures["listing_errors"] >= 4


async def runtimes(runs: Runs, *arguments: str) -> None:
    """`healthprobe runtimes`, in a process of its own."""
    edit = await asyncio.to_thread(Program(runs.folder), "runtimes", *arguments, "--records", EMBEDDED)
    assert edit.returncode == 0, edit.stderr
