"""The three programs of docs/library.md do what the page says, and a caller's mypy --strict passes on them."""

from __future__ import annotations

import ast
import importlib
import json
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest
from tests.support.live_engine import LiveEngine

import healthprobe

PAGE = (Path(__file__).parents[2] / "docs" / "library.md").read_text()
WATCH, OWN_STORE, SERVICE = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
PATIENCE = 60.0


@pytest.fixture
def engines() -> Iterator[list[LiveEngine]]:
    with ExitStack() as stack:
        yield [stack.enter_context(LiveEngine()) for _ in range(3)]


def at(engines: list[LiveEngine], program: str) -> str:
    """Returns the program with the endpoints of these engines in place of those it has."""
    for number, engine in enumerate(engines, 1):
        program = program.replace(f"http://127.0.0.1:808{number}", engine.endpoint)
    return program


@contextmanager
def running(program: str, folder: Path) -> Iterator[Path]:
    """Runs the program until the end of the block, and yields the file of what it prints."""
    printed = folder / "printed"
    with printed.open("a") as output:
        process = subprocess.Popen([sys.executable, "-c", program], cwd=folder, stdout=output)
    try:
        yield printed
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def lines_of(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


def test_twenty_lines_watch_three_engines(engines: list[LiveEngine], tmp_path: Path) -> None:
    code = [line for line in WATCH.splitlines() if line]
    assert len(code) <= 20
    with running(at(engines, WATCH), tmp_path) as printed:
        engines[0].wait_for_probes(1)
        engines[1].become(503)
        wait_until(lambda: len(lines_of(printed)) == 1)
        engines[1].become(200)
        wait_until(lambda: len(lines_of(printed)) == 2)
    failed, recovered = map(json.loads, lines_of(printed))
    assert (failed["game_id"], failed["event_type"]) == ("game-2", "probe_failed")
    assert failed["details"] == {"consecutive_failures": 3, "last_status": 503, "last_error": "unexpected status 503"}
    assert (recovered["id"], recovered["event_type"]) == ("game-2:2", "probe_recovered")


def test_a_program_with_its_own_store_and_publisher_survives_kill_9(engines: list[LiveEngine], tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "games.db")) as games, games:
        games.execute("CREATE TABLE games (id TEXT, container TEXT, url TEXT, state TEXT)")
        rows = [(f"game-{number}", "c1", engine.endpoint, "running") for number, engine in enumerate(engines)]
        games.executemany("INSERT INTO games VALUES (?, ?, ?, ?)", rows)
    journal = tmp_path / "journal.jsonl"
    engines[2].become(503)
    with running(OWN_STORE, tmp_path):
        wait_until(lambda: len(lines_of(journal)) == 1)
    with running(OWN_STORE, tmp_path):
        engines[2].wait_for_probes(3)
        engines[2].become(200)
        wait_until(lambda: any("probe_recovered" in line for line in lines_of(journal)))
    ids = {json.loads(line)["id"]: json.loads(line)["event_type"] for line in lines_of(journal)}
    assert ids == {"game-2:1": "probe_failed", "game-2:2": "probe_recovered"}


def test_a_service_starts_and_stops_a_worker_twice_on_either_loop(engines: list[LiveEngine], tmp_path: Path) -> None:
    engines[0].become(503)
    ended = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", at(engines, SERVICE)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (0, 2 * "failed: game-1\nevents: 1\n"), ended.stderr
    busy = ("WARNING:asyncio:Executing ", "WARNING:platform.health:probe inconclusive ")  # where others use the CPU
    lines = [line for line in ended.stderr.splitlines() if not line.startswith(busy)]
    assert [line for line in lines if not line.startswith("INFO:platform.health:")] == []
    assert sum("health probe worker started" in line for line in lines) == 4
    assert sum("probe event published" in line for line in lines) == 2


@pytest.mark.slow
def test_the_programs_pass_mypy_strict(tmp_path: Path) -> None:
    for name, program in (("watch", WATCH), ("own_store", OWN_STORE), ("service", SERVICE)):
        (tmp_path / f"{name}.py").write_text(program)
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), "."]
    checked = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


def test_every_name_that_a_program_imports_from_the_package_is_public() -> None:
    trees = [ast.parse(program) for program in (WATCH, OWN_STORE, SERVICE)]
    imports = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    names = {alias.name for node in imports if node.module == "healthprobe" for alias in node.names}
    assert names <= set(healthprobe.__all__)


def test_every_ready_part_is_where_the_page_says() -> None:
    rows = re.findall(r"^\|[^|]*\| `(healthprobe[\w.]*)` \|(.*)\|$", PAGE, re.MULTILINE)
    assert len(rows) >= 10
    for module, made in rows:
        for name in re.findall(r"\b([A-Z]\w+)[.(]", made):
            assert hasattr(importlib.import_module(module), name) or hasattr(healthprobe, name)
