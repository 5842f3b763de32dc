"""`top`: a live view of a run, in a real pseudo-terminal."""

from __future__ import annotations

import re

import pytest
from tests.support.program import CommandLine, Program
from tests.support.terminal_session import OpenTerminal, TerminalSession
from tests.support.watched_run import WatchedRun

from healthprobe.domain.outcome import HEALTHY, Failed
from healthprobe.testing.prober import UNAVAILABLE, Answer

ENTERS, LEAVES = "\x1b[?1049h", "\x1b[?1049l"
HOSTILE = "[red]game\x1b[2J-7"


def last_screen(session: TerminalSession) -> list[str]:
    """The lines of the last screen that was drawn, without what styles and moves."""
    drawn = session.screen.rpartition(LEAVES)[0] or session.screen
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", drawn.rpartition("\x1b[H")[2]).replace("\r", "").splitlines()


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_it_updates_the_screen_every_second_and_restores_it_at_the_end(terminal: OpenTerminal, columns: int) -> None:
    with WatchedRun({"game-1": HEALTHY, "game-2": UNAVAILABLE, HOSTILE: Failed(0, "[bold]no")}) as run:
        run.wait_until_down("game-2", HOSTILE)
        run.histories.record_lag("stdout", 0)
        session = terminal("top", "--at", run.at, COLUMNS=str(columns), LINES="24")
        session.read_until("2 of 3 engines are down")
        run.prober.script("game-2", HEALTHY)
        session.read_until("1 of 3 engines is down")
        session.read_until("recovered")
        session.interrupt()
        assert session.end() == 0
    assert session.screen.index(ENTERS) < session.screen.index(LEAVES)
    lines = last_screen(session)
    assert max(map(len, lines)) <= columns
    assert len(lines) <= 24
    text = "\n".join(lines)
    for shown in ("3 games   1 down", "last transitions", "[red]game\N{REPLACEMENT CHARACTER}", "[bold]no", "stdout"):
        assert shown in text
    assert "\x1b[2J-7" not in session.screen


def test_it_shows_that_a_run_is_away_and_continues_when_it_is_back(terminal: OpenTerminal) -> None:
    with WatchedRun({"game-1": HEALTHY}) as run:
        run.wait_for_probes(1)
        session = terminal("top", "--at", run.at)
        session.read_until("The one engine answers.")
        run.go_away()
        session.read_until("No answer for")
        session.read_until("connection refused")
        run.prober.script("game-1", UNAVAILABLE)
        run.wait_until_down("game-1")
        run.listen()
        session.read_until("1 of 1 engines is down")
        session.interrupt()
        assert session.end() == 0
    assert "No answer for" not in "\n".join(last_screen(session))


def test_a_log_that_is_away_hides_only_its_transitions(terminal: OpenTerminal) -> None:
    with WatchedRun({"game-1": HEALTHY}) as run:
        run.wait_for_probes(1)
        run.log.unavailable = True
        session = terminal("top", "--at", run.at)
        session.read_until("The one engine answers.")
        session.interrupt()
        assert session.end() == 0


def test_no_color_means_no_colour(terminal: OpenTerminal) -> None:
    with WatchedRun({"game-1": HEALTHY}) as run:
        run.wait_for_probes(1)
        session = terminal("top", "--at", run.at, NO_COLOR="1")
        session.read_until("The one engine answers.")
        session.interrupt()
        session.end()
    assert not re.search(r"\x1b\[(?:\d+;)*3[0-9]m", session.screen)


def test_incidents_that_do_not_fit_are_left_out_and_the_prober_is_shown(terminal: OpenTerminal) -> None:
    engines: dict[str, Answer] = {f"game-{number}": UNAVAILABLE for number in range(60)}
    with WatchedRun(engines) as run:
        run.wait_until_down(*engines)
        session = terminal("top", "--at", run.at)
        session.read_until("connections")
        session.interrupt()
        assert session.end() == 0
    lines = last_screen(session)
    assert len(lines) <= 24
    assert any(line.startswith("log") for line in lines)
    assert any(re.fullmatch(r"and \d+ more\s*", line) for line in lines)


def test_without_a_terminal_it_says_what_to_use_instead(program: Program) -> None:
    ended = program("top")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == (
        "healthprobe: top needs a terminal, and standard output is none; use healthprobe status --json\n"
    )


def test_without_a_run_it_draws_nothing_and_names_the_command_that_starts_one(terminal: OpenTerminal) -> None:
    session = terminal("top", "--at", "http://127.0.0.1:1")
    assert session.end() == 2
    assert ENTERS not in session.screen
    assert "no answer" in session.screen


def test_its_help_fits_and_has_an_example(command_line: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    told = command_line("top", "--help")
    assert max(map(len, told.out)) <= 80
    assert "Example: healthprobe top --at http://prober:8600" in " ".join(" ".join(told.out).split())
