"""The example package, installed as users install it, passes its own tests and works in a whole run."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.program import PROGRAM, Document, clean_environment, documents
from tests.support.waiting import until
from tests.system.runs import Runs

from healthprobe.testing.engines import ScriptedEngine

EXAMPLE = Path(__file__).parents[2] / "examples" / "healthprobe-plaintext"
RUN = "--interval 200ms --timeout 100ms --failures 2 --log jsonl:events.jsonl --publish syslog:syslog.sock"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a folder in which the package is installed, and nothing else."""
    folder = tmp_path_factory.mktemp("installed")
    offline = ("--no-index", "--no-deps", "--no-build-isolation", "--no-cache-dir", "--disable-pip-version-check")
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", *offline, "--target", folder, EXAMPLE],
        check=True,
        timeout=100,
    )
    return folder


@pytest.fixture(autouse=True)
def _on_the_path(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets programs that a test starts find the package."""
    ours = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", f"{installed}{os.pathsep}{ours}".rstrip(os.pathsep))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")


@pytest.fixture
def syslog(runs: Runs) -> Iterator[socket.socket]:
    """Yields a daemon's socket in the folder of the runs, whose queue holds the few messages of a test."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as daemon:
        daemon.bind(str(runs.folder / "syslog.sock"))
        daemon.setblocking(False)
        yield daemon


def logged(runs: Runs) -> list[Document]:
    """Returns the output of `healthprobe events`."""
    command = [*PROGRAM, "events", "--log", "jsonl:events.jsonl"]
    shown = subprocess.run(
        command, cwd=runs.folder, env=clean_environment({}), capture_output=True, text=True, check=True, timeout=30
    )
    return documents(shown.stdout.splitlines())


def test_the_example_passes_its_own_tests(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--basetemp", str(tmp_path / "its-own")]
    ended = subprocess.run(command, cwd=EXAMPLE, capture_output=True, text=True, check=False, timeout=100)
    assert ended.returncode == 0, ended.stdout + ended.stderr


async def test_a_run_finds_all_three_by_scheme_and_a_second_run_continues_where_the_first_stopped(
    runs: Runs, syslog: socket.socket
) -> None:
    received: list[Document] = []

    def has_come(event_id: str) -> bool:
        try:
            received.append(json.loads(syslog.recv(65536).partition(b"healthprobe: ")[2]))
        except BlockingIOError:
            return False
        return bool(received[-1]["id"] == event_id)

    async with ScriptedEngine() as engine:
        games = f"game_id,current_container_id,engine_endpoint,status\ngame-7,c0ffee,{engine.endpoint},running\n"
        (runs.folder / "games.csv").write_text(games)
        run = runs.start(RUN, records="csv:games.csv")
        await run.started()
        await engine.become(503)
        await until(lambda: has_come("game-7:1"), "the failure is in the syslog")
        figures = await run.stopped()
        assert figures["probe_failed"] == 1
        assert figures["open_incidents"] == 1

        await engine.become(200)
        run = runs.start(RUN, records="csv:games.csv")
        await until(lambda: has_come("game-7:2"), "the recovery is in the syslog")
        await run.stopped()
    assert [event["event_type"] for event in received] == ["probe_failed", "probe_recovered"]
    assert received[0]["container_id"] == "c0ffee"
    assert logged(runs) == received
