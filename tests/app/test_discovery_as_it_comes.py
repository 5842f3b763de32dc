"""Lists of games as they come, with the whole program: none of them ends, repeats or invents an incident."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from pathlib import Path

import pytest
from aiohttp import web
from tests.servers.web import Answer, Asked, Script, WebServer
from tests.support.program import QUICK, Program, Started, documents, next_document
from tests.support.waiting import until

from healthprobe.testing.engines import ScriptedEngine

GAMES = ["game-1", "game-2", "game-3"]
JSON = {"Content-Type": "application/json"}
RUN = (*QUICK, "--ended-events")


@pytest.fixture
async def engine() -> AsyncIterator[ScriptedEngine]:
    async with ScriptedEngine() as engine:
        await engine.become(503)
        yield engine


def groups(engine: ScriptedEngine, games: Sequence[str] = GAMES) -> bytes:
    target = engine.endpoint.removeprefix("http://")
    return json.dumps([{"targets": [target], "labels": {"game_id": game}} for game in games]).encode()


async def told(run: Started, count: int) -> list[str]:
    return sorted([(await asyncio.to_thread(next_document, run))["id"] for _ in range(count)])


async def ended_well(run: Started) -> None:
    """Stops the run, which told nothing else, and said of bad lists that the last good one stays in force."""
    run.terminate()
    out, logged = await asyncio.to_thread(run.communicate)
    assert (run.returncode, out) == (0, "")
    said = [line["msg"] for line in documents(logged.splitlines())]
    assert said.index("list running records") < said.index("running records are listed again")


def answers_to(whole: bytes, fewer: bytes) -> dict[str, Script]:
    members = gzip.compress(whole[:50]) + gzip.compress(whole[50:]) + gzip.compress(b"\n")
    return {
        "gzip of several members": Answer(200, members, JSON | {"Content-Encoding": "gzip"}),
        "gzip that says nothing of it": Answer(200, members, JSON),
        "a byte order mark": Answer(200, b"\xef\xbb\xbf" + whole, JSON),
        "a page": Answer(200, b"<!doctype html><p>Log in", {"Content-Type": "text/html"}),
        "a page that says it is JSON": Answer(200, b"<html>", JSON),
        "half of it": Answer(200, whole[:-40], JSON),
        "gzip that was cut": Answer(200, members[:-15], JSON | {"Content-Encoding": "gzip"}),
        "an error": Answer(503),
        "once without a game": once(fewer, whole),
        "once without any": once(b"[]", whole),
    }


def once(first: bytes, later: bytes) -> Script:
    bodies = [first]

    async def answer(request: web.BaseRequest, asked: Asked) -> web.StreamResponse:
        return await Answer(200, bodies.pop() if bodies else later, JSON)(request, asked)

    return answer


def has_asked(server: WebServer, times: int) -> bool:
    return len(server.asked) >= times


@pytest.mark.slow
@pytest.mark.proves("list-http-sd")
async def test_no_answer_of_http_sd_changes_what_was_told(program: Program, engine: ScriptedEngine) -> None:
    whole = groups(engine)
    async with WebServer(Answer(200, whole, JSON)) as server:
        run = program.start(*RUN, "--records", server.url("/targets"))
        assert await told(run, 3) == [f"{game}:1" for game in GAMES]
        for name, script in answers_to(whole, groups(engine, GAMES[:2])).items():
            server.script, asked = script, len(server.asked)
            await until(partial(has_asked, server, asked + 3), f"it was asked and answered {name}")
        server.script = Answer(200, whole, JSON)
        await engine.become(200)
        assert await told(run, 3) == [f"{game}:2" for game in GAMES]
        await ended_well(run)


def written_half(path: Path, content: bytes) -> None:
    path.write_bytes(content[: len(content) // 2])


def gone(path: Path, _: bytes) -> None:
    path.unlink()


def unreadable(path: Path, _: bytes) -> None:
    path.unlink()
    path.mkdir()


def a_page(path: Path, _: bytes) -> None:
    path.write_bytes(b"<!doctype html><p>Log in")


def emptied(path: Path, _: bytes) -> None:
    path.write_bytes(b"")


def switched(path: Path, content: bytes) -> None:
    folder = path.parent / "..new"
    folder.mkdir(exist_ok=True)
    (folder / path.name).write_bytes(content)
    (path.parent / "..data_tmp").symlink_to(folder.name)
    (path.parent / "..data_tmp").replace(path.parent / "..data")
    path.unlink()
    path.symlink_to(f"..data/{path.name}")


def marked(path: Path, content: bytes) -> None:
    path.write_bytes(b"\xef\xbb\xbf" + content)


DAMAGE: Sequence[Callable[[Path, bytes], None]] = (written_half, gone, unreadable, a_page, emptied, switched, marked)


@pytest.mark.slow
@pytest.mark.proves("list-file")
async def test_nothing_that_becomes_of_a_file_changes_what_was_told(
    program: Program, engine: ScriptedEngine, tmp_path: Path
) -> None:
    whole = groups(engine)
    path = tmp_path / "targets" / "games.json"
    path.parent.mkdir()
    path.write_bytes(whole)
    run = program.start(*RUN, "--records", f"file:{path}")
    assert await told(run, 3) == [f"{game}:1" for game in GAMES]
    for damage in DAMAGE:
        damage(path, whole)
        await asyncio.sleep(0.8)
        if path.is_dir():
            path.rmdir()
        path.with_name("new").write_bytes(whole)
        path.with_name("new").replace(path)
        await asyncio.sleep(0.4)
    await engine.become(200)
    assert await told(run, 3) == [f"{game}:2" for game in GAMES]
    await ended_well(run)
