"""Receivers and logs in trouble, with the real program: nothing is parked or sent again because of it, all is said."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
from aiohttp import web
from tests.servers.ports import free_port
from tests.servers.web import ACCEPTED, Answer, Asked, WebServer
from tests.support.program import QUICK, Document, Program, Started, documents, written_games
from tests.support.waiting import until

from healthprobe.adapters.sql.backend import LOCK_TIMEOUT
from healthprobe.testing.engines import ScriptedEngine

LOCKED_FOR = 3 * LOCK_TIMEOUT


@pytest.fixture
async def engine() -> AsyncIterator[ScriptedEngine]:
    async with ScriptedEngine() as engine:
        await engine.become(503)
        yield engine


async def log_lines(started: Started) -> list[Document]:
    """Stops the run and returns its log lines."""
    started.terminate()
    _, logged = await asyncio.to_thread(started.communicate)
    assert started.returncode == 0
    return documents(logged.splitlines())


async def relays(program: Program, port: int) -> Document:
    shown = await asyncio.to_thread(program, "relays", "--at", f"http://127.0.0.1:{port}")
    return documents(shown.stdout.splitlines())[0]


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_a_webhook_that_refuses_everything_for_a_while_gets_everything_in_the_end(
    program: Program, engine: ScriptedEngine, tmp_path: Path, status: int
) -> None:
    async with WebServer(Answer(status, b"token expired")) as webhook:
        port = free_port()
        games = written_games(tmp_path, ["game-1", "game-2"], engine.endpoint)
        options = ("--records", games, "--publish", webhook.url("/hook"), "--listen", f"127.0.0.1:{port}")
        run = program.start(*QUICK, *options)
        await until(lambda: len(webhook.asked) > 2, "the webhook has refused three times")
        state = await relays(program, port)
        assert (state["error"], state["lag"]) == (f"webhook answered {status}: token expired", 2)
        assert state["dead_letters"] == 0
        shown = await asyncio.to_thread(program, "status", "--at", f"http://127.0.0.1:{port}")
        assert f"webhook answered {status}: token expired" in shown.stdout
        refused = len(webhook.asked)
        webhook.script = ACCEPTED
        await until(lambda: len(webhook.asked) >= refused + 2, "the webhook has both")
        lines = await log_lines(run)
    assert sorted(asked.document["id"] for asked in webhook.asked[-2:]) == ["game-1:1", "game-2:1"]
    failing = [line for line in lines if line["msg"] == "delivery failing, will retry"]
    assert [line["err"] for line in failing] == [f"webhook answered {status}: token expired"]


async def test_while_the_log_is_locked_a_webhook_gets_each_event_once_and_the_log_is_named(
    program: Program, engine: ScriptedEngine, tmp_path: Path
) -> None:
    log = tmp_path / "healthprobe.db"

    async def locks_the_log(request: web.BaseRequest, asked: Asked) -> web.StreamResponse:
        if not lock.in_transaction:
            lock.execute("BEGIN IMMEDIATE")
        return await Answer(200, b"ok")(request, asked)

    async with WebServer() as webhook:
        games = written_games(tmp_path, ["game-1", "game-2", "game-3"], engine.endpoint)
        run = program.start(*QUICK, "--records", games, "--publish", webhook.url("/hook"))
        await until(log.exists, "the log is there")
        with closing(sqlite3.connect(log, isolation_level=None, timeout=30)) as lock:
            webhook.script = locks_the_log
            await until(lambda: webhook.asked, "the webhook has an event")
            await asyncio.sleep(LOCKED_FOR)
            lock.execute("ROLLBACK")
        webhook.script = ACCEPTED
        await until(lambda: len(webhook.asked) == 3, "the webhook has all")
        await engine.become(200)
        await until(lambda: len(webhook.asked) == 6, "the webhook has the recoveries")
        lines = await log_lines(run)
    ids = [asked.document["id"] for asked in webhook.asked]
    assert sorted(ids) == [f"game-{game}:{sequence}" for game in (1, 2, 3) for sequence in (1, 2)]
    assert "delivery failing, will retry" not in {line["msg"] for line in lines}
    [waits] = [line for line in lines if line["msg"] == "delivery waits for the log, will retry"]
    assert "healthprobe.db" in waits["err"]
