"""Fixtures: the program and the command line in a folder of their own, with a clean environment."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.live_engine import LiveEngine
from tests.support.program import CommandLine, Program, clean_environment
from tests.support.terminal_session import OpenTerminal, TerminalSession


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    running = Program(tmp_path)
    yield running
    running.end()


@pytest.fixture
def command_line(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    monkeypatch.chdir(tmp_path)
    for name in set(os.environ) - set(clean_environment({})):
        monkeypatch.delenv(name)
    return CommandLine(capsys)


@pytest.fixture
def engine() -> Iterator[LiveEngine]:
    with LiveEngine() as live:
        yield live


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[OpenTerminal]:
    opened: list[TerminalSession] = []

    def open_terminal(*arguments: str, **environment: str) -> TerminalSession:
        opened.append(TerminalSession(tmp_path, *arguments, **environment))
        return opened[-1]

    yield open_terminal
    for session in opened:
        session.kill()
