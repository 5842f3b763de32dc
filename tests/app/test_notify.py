"""People who are notified by the whole program: each target by itself, and nothing twice after an upgrade."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.adapters.notify.phones import Ntfy, ntfy_of_its_own
from tests.support.program import QUICK, Program, documents, written_games
from tests.support.waiting import until

from healthprobe.adapters.sql import SqlDatabase, SqlLog
from healthprobe.app.url_names import notification_name
from healthprobe.testing.contracts.samples import failed
from healthprobe.testing.engines import ScriptedEngine

AT_ONCE = (*QUICK, "--alert-wait", "0")


@pytest.fixture
async def ntfy() -> AsyncIterator[Ntfy]:
    async with ntfy_of_its_own() as ntfy:
        yield ntfy


async def cursors_in(folder: Path) -> set[str]:
    database = await SqlDatabase.open(f"sqlite:{folder / 'healthprobe.db'}", create=False)
    try:
        return set(await SqlLog(database).all_cursors())
    finally:
        await database.aclose()


@pytest.mark.slow
async def test_a_dead_target_waits_and_the_good_one_gets_each_sentence_once(
    program: Program, ntfy: Ntfy, tmp_path: Path
) -> None:
    async with ScriptedEngine() as engine:
        games = written_games(tmp_path, ["game-1"], engine.endpoint)
        url = f"ntfy://{ntfy.place}/good,dead"
        run = program.start(*AT_ONCE, "--records", games, "--notify", url)
        await until(lambda: engine.requests, "the run has begun")
        await engine.become(503)
        await until(lambda: ntfy.got["dead"] >= 3, "the dead target was tried three times")
        assert ntfy.got["good"] == 1
        ntfy.dead = set()
        await until(lambda: "dead" in ntfy.sentences, "the dead target is back")
        await engine.become(200)
        await until(lambda: all(len(each) == 2 for each in ntfy.sentences.values()), "both have the recovery")
        run.terminate()
        _, logged = await asyncio.to_thread(run.communicate)
    assert ntfy.got["good"] == 2
    [failing] = [line for line in documents(logged.splitlines()) if line["msg"] == "alerts failing, will retry"]
    assert failing["err"] == "the ntfy service, for its target d...d, did not take a notification"
    for began, ended in ntfy.sentences.values():
        assert began.startswith('game-1 on 127.0.0.1 has stopped answering: "unexpected status 503" (since ')
        assert ended.startswith("game-1 on 127.0.0.1 answers again after ")


async def test_a_run_goes_on_where_the_relays_of_an_earlier_version_were(
    program: Program, ntfy: Ntfy, tmp_path: Path
) -> None:
    url = f"ntfy://{ntfy.place}/one,two"
    database = await SqlDatabase.open(f"sqlite:{tmp_path / 'healthprobe.db'}")
    await SqlLog(database).append([failed("game-1", 1), failed("game-2", 1)])
    await SqlLog(database).save_cursor(notification_name(url), 1)
    await database.aclose()
    async with ScriptedEngine() as engine:
        await engine.become(503)
        games = written_games(tmp_path, ["game-1", "game-2"], engine.endpoint)
        run = program.start(*AT_ONCE, "--records", games, "--notify", url)
        await until(lambda: ntfy.got["one"] and ntfy.got["two"], "both were told of the game that was not told yet")
        assert {place: [each[:6] for each in told] for place, told in ntfy.sentences.items()} == {
            "one": ["game-2"],
            "two": ["game-2"],
        }
        await engine.become(200)
        await until(lambda: all(len(each) == 3 for each in ntfy.sentences.values()), "both were told of both ends")
        run.terminate()
        assert await asyncio.to_thread(run.wait, 10) == 0
    assert await cursors_in(tmp_path) == {"stdout:"}
