"""Games of which nothing is known: `status` exits with 1 and names them, `explain` says why."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.support.program import CommandLine, documents
from tests.support.terminal_session import OpenTerminal, assert_readable
from tests.support.watched_run import WatchedRun

from healthprobe.domain.outcome import HEALTHY, Inconclusive
from healthprobe.testing.prober import Answer

CAUSE = "no free local port"
OUT_OF_PORTS = Inconclusive(CAUSE)
ENGINES: dict[str, Answer] = {"game-1": HEALTHY, "game-2": OUT_OF_PORTS, "game-3": HEALTHY}


@pytest.fixture(scope="module")
def run() -> Iterator[WatchedRun]:
    with WatchedRun(ENGINES) as run:
        run.wait_until(lambda: all(game in run.histories for game in ENGINES))
        yield run


def test_a_pipe_gets_the_number_and_the_names_and_the_exit_code_1(command_line: CommandLine, run: WatchedRun) -> None:
    told = command_line("status", "--at", run.at)
    [status] = documents(told.out)
    assert told.code == 1
    assert (status["unknown"], status["healthy"], status["down"]) == (1, 2, 0)
    assert status["summary"] == f"No engine of 3 is down; nothing is known of 1: game-2, {CAUSE}."
    [unknown] = status["unknown_games"]
    assert (unknown["game_id"], unknown["error"]) == ("game-2", CAUSE)


def test_a_terminal_names_it_on_a_line(terminal: OpenTerminal, run: WatchedRun) -> None:
    session = terminal("status", "--at", run.at, COLUMNS="100")
    assert session.end() == 1
    assert_readable(session)
    text = "\n".join(session.lines)
    assert f": game-2, {CAUSE}" in text
    assert "1 unknown" in text


def test_explain_says_since_when_and_why(command_line: CommandLine, run: WatchedRun) -> None:
    told = command_line("explain", "game-2", "--at", run.at)
    [explained] = documents(told.out)
    assert explained["state"] == "unknown"
    assert explained["explanation"].startswith("Nothing has been known of game-2 for ")
    assert CAUSE in explained["explanation"]


def test_a_cause_cannot_write_to_the_terminal(terminal: OpenTerminal) -> None:
    with WatchedRun({"game-1": Inconclusive("no\x1b[31m [red]way")}) as run:
        run.wait_for_probes(1)
        session = terminal("status", "--at", run.at)
        assert session.end() == 1
    assert_readable(session)
    assert "game-1, no" in "\n".join(session.lines)
