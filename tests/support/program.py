"""The real program, in a process of its own, with a clean environment: forked where that makes no difference."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import pytest
from tests.support.forked import Forked, can_be_forked
from tests.support.waiting import PATIENCE

from healthprobe.cli.main import exit_code_of

Document = dict[str, Any]
Started = subprocess.Popen[str]

PROGRAM = (sys.executable, "-m", "healthprobe")
QUICK = ("run", "--interval", "150ms", "--timeout", "100ms", "--failures", "2")


def begun(arguments: Sequence[str], environment: Mapping[str, str], **options: Any) -> Any:
    """Returns a subprocess.Popen of the program, with a clean environment and this one added."""
    clean = clean_environment(environment)
    if can_be_forked(clean):
        return Forked(arguments, env=clean, **options)
    return subprocess.Popen([*PROGRAM, *arguments], env=clean, **options)


class Program:
    """`healthprobe` in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._started: list[Started] = []

    def __call__(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Runs a command to its end."""
        with begun(
            arguments, environment, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as running:
            try:
                out, err = running.communicate(timeout=PATIENCE)
            finally:
                running.kill()
        return subprocess.CompletedProcess(running.args, running.returncode, out, err)

    def start(self, *arguments: str, **environment: str) -> Started:
        """Starts a command. It is killed when the test ends."""
        started: Started = begun(
            arguments, environment, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self._started.append(started)
        return started

    def end(self) -> None:
        for started in self._started:
            if started.poll() is None:
                started.kill()
            started.communicate()


def clean_environment(more: Mapping[str, str]) -> dict[str, str]:
    """Returns our environment without variables that the program or a terminal library reads."""
    heeded = ("HEALTHPROBE_", "RTMANAGER_", "NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "TERM", "TTY_")
    return {name: value for name, value in os.environ.items() if not name.startswith(heeded)} | dict(more)


class CommandLine:
    """The same program in this process, for commands that end by themselves.

    After a call: its exit `code`, and the lines of both outputs.
    """

    def __init__(self, capture: pytest.CaptureFixture[str]) -> None:
        self._capture = capture
        self.code = -1
        self.out: list[str] = []
        self.err: list[str] = []

    def __call__(self, *arguments: str) -> Self:
        self._capture.readouterr()
        self.code = exit_code_of(list(arguments))
        captured = self._capture.readouterr()
        self.out, self.err = captured.out.splitlines(), captured.err.splitlines()
        return self


def written_games(folder: Path, game_ids: Iterable[str], endpoint: str) -> str:
    """Writes a file with the records of these games and returns its URL."""
    records = [
        {"game_id": game_id, "current_container_id": f"{game_id}-a", "engine_endpoint": endpoint, "status": "running"}
        for game_id in game_ids
    ]
    (folder / "games.json").write_text(json.dumps(records))
    return f"file:{folder / 'games.json'}"


def documents(lines: list[str]) -> list[Document]:
    """Decodes JSON lines."""
    return [json.loads(line) for line in lines]


def next_document(started: Started) -> Document:
    """Waits for the next JSON line of a running program."""
    assert started.stdout is not None
    line = started.stdout.readline()
    if not line:
        assert started.stderr is not None
        pytest.fail(f"the program ended with {started.wait()}: {started.stderr.read()}")
    document: Document = json.loads(line)
    return document


def next_log_line(started: Started) -> Document:
    """Waits for the next log line of a running program."""
    assert started.stderr is not None
    line: Document = json.loads(started.stderr.readline())
    return line
