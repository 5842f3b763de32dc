"""`run --alert`, the whole program: what fires is resolved under the same key, also by the run after a kill."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest
import structlog
from tests.servers.ports import free_port
from tests.support.program import QUICK, CommandLine, Document, Program, documents, written_games
from tests.support.waiting import until

from healthprobe.app.alarm_stage import alarms_of
from healthprobe.app.settings import Settings
from healthprobe.app.urls import Adapters
from healthprobe.domain.alarms.alert import AlertRoute
from healthprobe.ports import ConfigurationError
from healthprobe.status.counters import Counters
from healthprobe.testing.engines import ScriptedEngine
from healthprobe.testing.memory import InMemoryLog
from healthprobe.testing.stage import Stage

PAGER = """
import json
from contextlib import asynccontextmanager
from healthprobe.ports import PublishError

class Pager:
    def __init__(self, path):
        self.path = path

    async def fire(self, alerts):
        self.write("fire", alerts)

    async def resolve(self, alerts):
        self.write("resolve", [each.alert for each in alerts])

    def write(self, action, alerts):
        try:
            with open(self.path, "a") as file:
                for alert in alerts:
                    print(json.dumps([action, alert.key, *alert.game_ids]), file=file)
        except OSError as error:
            raise PublishError(f"the pager has no file: {error.strerror}", code="ENOENT") from error

@asynccontextmanager
async def pager(url):
    yield Pager(url.removeprefix("pager:"))
"""


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A folder with a package that adds the alerter `pager:FILE`, for PYTHONPATH."""
    folder = tmp_path / "installed"
    metadata = folder / "acme_pager-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-pager\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[healthprobe.alerters]\npager = acme_pager:pager\n")
    (folder / "acme_pager.py").write_text(PAGER)
    return folder


@pytest.fixture
async def engine() -> AsyncIterator[ScriptedEngine]:
    async with ScriptedEngine() as engine:
        await engine.become(503)
        yield engine


def paged(file: Path) -> list[list[str]]:
    return cast(list[list[str]], documents(file.read_text().splitlines())) if file.exists() else []


async def test_an_alert_that_fired_before_a_kill_is_resolved_by_the_next_run(
    program: Program, engine: ScriptedEngine, installed: Path, tmp_path: Path
) -> None:
    pages = tmp_path / "pages.jsonl"
    path = f"{installed}{os.pathsep}{os.environ.get('PYTHONPATH', '')}".rstrip(os.pathsep)
    games = written_games(tmp_path, ["game-1"], engine.endpoint)
    command = (*QUICK, "--records", games, "--alert", f"pager:{pages}", "--alert-wait", "0")
    run = program.start(*command, PYTHONPATH=path)
    await until(lambda: len(paged(pages)) == 1, "the alert has fired")
    run.kill()
    run.wait()
    await engine.become(200)
    program.start(*command, PYTHONPATH=path)
    await until(lambda: paged(pages)[-1][0] == "resolve", "the alert is resolved")
    keys = {key for _, key, *_ in paged(pages)}
    assert all(games_of == ["game-1"] for _, _, *games_of in paged(pages))
    assert len(keys) == 1
    assert keys.pop().endswith("/game-1:1")


async def test_an_alerter_that_fails_is_shown_as_publishers_are(
    program: Program, engine: ScriptedEngine, installed: Path, tmp_path: Path
) -> None:
    pages = tmp_path / "missing" / "pages.jsonl"
    path = f"{installed}{os.pathsep}{os.environ.get('PYTHONPATH', '')}".rstrip(os.pathsep)
    games = written_games(tmp_path, ["game-1"], engine.endpoint)
    port = free_port()
    options = ("--alert", f"pager:{pages}", "--alert-wait", "0", "--listen", f"127.0.0.1:{port}")
    program.start(*QUICK, "--records", games, *options, PYTHONPATH=path)

    async def relay() -> Document | None:
        shown = await asyncio.to_thread(program, "relays", "--at", f"http://127.0.0.1:{port}")
        found = [each for each in documents(shown.stdout.splitlines()) if each["publisher"] == f"pager:{pages}"]
        return found[0] if found else None

    state = None
    for _ in range(50):
        state = await relay()
        if state is not None and state["error"] is not None:
            break
        await asyncio.sleep(0.2)
    assert state == {
        "publisher": f"pager:{pages}",
        "lag": 1,
        "dead_letters": 0,
        "error": "the pager has no file: No such file or directory",
    }


async def test_a_run_without_alerters_says_whose_alerts_stay_open() -> None:
    stage, log = Stage(), InMemoryLog()
    await log.put_documents("alerters", {"pager:x": '{"behind": 0}', "pager:y": '{"behind": 0}'})
    await log.put_documents("alerter:pager:x", {"log-1/a:1": "{}"})
    none: Any = None
    found = await alarms_of(
        Settings(),
        Adapters(),
        log,
        status=none,
        silences=none,
        is_ours=lambda: True,
        telemetry=Counters(),
        logger=stage.logger,
    )
    assert found is None
    assert [(line["publisher"], line["alerts"]) for line in stage.lines] == [("pager:x", 1)]


async def test_a_log_without_documents_is_refused_with_what_to_use() -> None:
    settings = Settings(log="jsonl:events.jsonl", alerts=(AlertRoute("pager:x"),))
    log: Any = object()
    logger: Any = structlog.get_logger()
    with pytest.raises(ConfigurationError, match=r"jsonl:events.jsonl keeps no documents.*use --log sqlite:"):
        await alarms_of(
            settings,
            Adapters(),
            log,
            status=lambda: log,
            silences=log,
            is_ours=lambda: True,
            telemetry=Counters(),
            logger=logger,
        )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--alert-group", "a-b"], "no name of a label"),
        (["--alert-wait", "10"], "has no unit"),
        (["--alert", "nowhere://secret"], "--alert nowhere:…: not a known URL"),
    ],
)
def test_a_wrong_option_is_refused_in_one_line(command_line: CommandLine, options: list[str], said: str) -> None:
    told = command_line("run", *options)
    assert (told.code, len(told.err)) == (2, 1)
    assert said in told.err[0]
    assert "secret" not in told.err[0]
