"""`status`: the fleet on one screen, from a run that listens or from a log."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.app.test_listen import address_of
from tests.cli.test_events_and_incidents import REFUSED, event, written
from tests.support.live_engine import LiveEngine
from tests.support.program import CommandLine, Program, documents, next_document
from tests.support.terminal_session import OpenTerminal, assert_readable
from tests.support.waiting import PATIENCE
from tests.support.watched_run import WatchedRun

from healthprobe.cli.status import Status, _silenced
from healthprobe.domain.outcome import HEALTHY, Failed
from healthprobe.testing.prober import UNAVAILABLE, Answer
from healthprobe.web import schemas

HOSTILE = "[red]game\x1b[2J-7"
HOSTILE_ERROR = "[bold]no\x1b[31m way"
ENGINES: dict[str, Answer] = {"game-1": HEALTHY, "game-2": UNAVAILABLE, HOSTILE: Failed(0, HOSTILE_ERROR)}
NOWHERE = "http://127.0.0.1:1"


@pytest.fixture(scope="module")
def run() -> Iterator[WatchedRun]:
    """A run in which two of three games are down, and one of two relays is behind."""
    with WatchedRun(ENGINES) as run:
        run.wait_until_down("game-2", HOSTILE)
        run.wait_until(lambda: "game-1" in run.histories)
        run.histories.record_lag("stdout", 0)
        run.histories.record_lag("redis", 120)
        yield run


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """The log of the folder: game-3 is down."""
    path = tmp_path / "healthprobe.db"
    written(path, event("game-3", 1, 4, REFUSED))
    return path


@pytest.fixture
def nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where runs listen, none does, whatever else runs on this machine."""
    monkeypatch.setattr("healthprobe.cli.api_client.DEFAULT_AT", NOWHERE)


def test_a_pipe_gets_one_object_with_the_whole_status(command_line: CommandLine, run: WatchedRun) -> None:
    told = command_line("status", "--at", run.at)
    [status] = documents(told.out)
    assert told.code == 1
    assert (status["source"], status["at"]) == ("run", run.at)
    assert (status["games"], status["down"], status["failing"], status["healthy"]) == (3, 2, 0, 1)
    assert status["summary"].startswith("2 of 3 engines are down")
    assert {each["game_id"]: each["last_status"] for each in status["incidents"]} == {"game-2": 503, HOSTILE: 0}
    assert status["prober"]["failures"] == 3
    assert status["publishers"] == [
        {"name": "redis", "lag": 120, "parked": 0, "error": None},
        {"name": "stdout", "lag": 0, "parked": 0, "error": None},
    ]


def test_a_fleet_that_answers_exits_0(command_line: CommandLine) -> None:
    with WatchedRun({"game-1": HEALTHY}) as run:
        run.wait_for_probes(2)
        told = command_line("status", "--at", run.at)
    assert told.code == 0
    assert documents(told.out)[0]["summary"] == "The one engine answers."


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_a_terminal_shows_a_screen_that_fits_it(terminal: OpenTerminal, run: WatchedRun, columns: int) -> None:
    session = terminal("status", "--at", run.at, COLUMNS=str(columns))
    assert session.end() == 1
    assert max(map(len, session.lines)) <= columns
    text = "\n".join(session.lines)
    assert text.startswith("2 of 3 engines are down")
    for shown in ("3 games   2 down", "game-2", "3h12m", "in use", "redis 120 events behind", "stdout up to date"):
        assert shown in text


@pytest.mark.proves("status-escapes")
def test_names_and_errors_are_shown_without_control_characters(terminal: OpenTerminal, run: WatchedRun) -> None:
    session = terminal("status", "--at", run.at)
    session.end()
    assert_readable(session)
    text = "\n".join(session.lines)
    assert "[red]game\N{REPLACEMENT CHARACTER}[2J-7" in text
    assert "[bold]no [31m way" in text


def test_no_color_means_no_colour(terminal: OpenTerminal, run: WatchedRun) -> None:
    session = terminal("status", "--at", run.at, NO_COLOR="1")
    session.end()
    assert "\x1b[1;31m" not in session.screen
    assert "\x1b[31m" not in session.screen


def test_more_incidents_than_the_screen_holds_are_counted(terminal: OpenTerminal) -> None:
    engines: dict[str, Answer] = {f"game-{number}": UNAVAILABLE for number in range(40)}
    with WatchedRun(engines) as run:
        run.wait_until_down(*engines)
        session = terminal("status", "--at", run.at)
        assert session.end() == 1
    assert len(session.lines) < 24
    assert session.screen.count("unexpected status 503") > 5
    assert re.search(r"and \d\d more: healthprobe incidents, or --json", session.screen)
    assert "log     answers" in session.screen.replace("\x1b[2m", "").replace("\x1b[0m", "")


@pytest.mark.usefixtures("log")
def test_the_log_of_the_command_line_is_read_and_named_as_source(command_line: CommandLine) -> None:
    told = command_line("status", "--log", "sqlite:healthprobe.db")
    [status] = documents(told.out)
    assert told.code == 1
    assert (status["source"], status["down"], status["games"], status["prober"]) == ("log", 1, None, None)
    assert status["summary"].startswith("1 game is down, according to the log: game-3, for ")


@pytest.mark.usefixtures("log", "nobody_listens")
def test_without_a_run_the_log_of_the_working_directory_is_read(command_line: CommandLine) -> None:
    [status] = documents(command_line("status").out)
    assert status["source"] == "log"


@pytest.mark.usefixtures("nobody_listens")
def test_without_a_run_the_log_of_the_environment_is_read(
    command_line: CommandLine, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEALTHPROBE_LOG", f"sqlite:{log.rename(log.with_name('other.db'))}")
    [status] = documents(command_line("status").out)
    assert status["at"].endswith("other.db")


@pytest.mark.usefixtures("log")
def test_the_run_of_the_command_line_is_asked_without_fallback_to_a_log(
    command_line: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEALTHPROBE_AT", NOWHERE)
    told = command_line("status")
    assert (told.code, told.out) == (2, [])
    assert "no answer (connection refused)" in told.err[0]


@pytest.mark.usefixtures("log")
def test_a_log_on_the_command_line_takes_precedence_over_a_run_in_the_environment(
    command_line: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEALTHPROBE_AT", NOWHERE)
    [status] = documents(command_line("status", "--log", "sqlite:healthprobe.db").out)
    assert status["source"] == "log"


@pytest.mark.usefixtures("log")
def test_a_terminal_shows_that_the_status_is_from_the_log(terminal: OpenTerminal) -> None:
    session = terminal("status", "--log", "sqlite:healthprobe.db")
    assert session.end() == 1
    assert_readable(session)
    assert session.lines[1].startswith("from the log sqlite:healthprobe.db")


def test_status_and_explain_ask_a_running_program(program: Program, engine: LiveEngine) -> None:
    program("runtimes", "add", "game-7", engine.endpoint)
    engine.become(503)
    running = program.start("run", "--listen", "127.0.0.1:0", "--interval", "300ms", "--timeout", "100ms")
    at = address_of(running)
    assert next_document(running)["event_type"] == "probe_failed"
    status, explained = program("status", HEALTHPROBE_AT=at), program("explain", "game-7", HEALTHPROBE_AT=at)
    assert (status.returncode, status.stderr) == (1, "")
    assert documents(status.stdout.splitlines())[0]["summary"].startswith("1 of 1 engines is down: game-7")
    assert (explained.returncode, explained.stderr) == (1, "")
    assert "unexpected status 503" in explained.stdout
    running.terminate()
    running.wait(timeout=PATIENCE)
    after = program("status", "--log", "sqlite:healthprobe.db")
    assert (after.returncode, documents(after.stdout.splitlines())[0]["source"]) == (1, "log")


def test_games_that_the_log_cannot_hold_are_named_and_exit_1(command_line: CommandLine, terminal: OpenTerminal) -> None:
    games = {"game-1": HEALTHY, **dict.fromkeys(("kanji-1", "kanji-2", "kanji-3", "kanji-4"), HEALTHY)}
    run = WatchedRun(games)
    run.log.unreadable.update(set(games) - {"game-1"})
    with run:
        run.wait_until(lambda: len(run.status.worker.set_aside) == 4)
        told = command_line("status", "--at", run.at)
        session = terminal("status", "--at", run.at, COLUMNS="100")
        assert session.end() == 1
    assert told.code == 1
    [status] = documents(told.out)
    assert status["prober"]["games_set_aside"] == 4
    assert {each["game_id"] for each in status["prober"]["set_aside"]} == set(games) - {"game-1"}
    text = "\n".join(session.lines)
    assert re.search(r"set aside +kanji-\d: kanji-\d cannot be looked up", text)
    assert "and 1 more that the log cannot hold" in text


def test_silences_are_lines_of_the_screen_the_first_three_of_them() -> None:
    ends_at = datetime(2026, 11, 29, 14, tzinfo=UTC)
    one = schemas.Silence("s-1", ["chess", "go"], "", {}, "anna@ops", "new\x1b[31m rack", None, ends_at)
    other = schemas.Silence("s-2", [], "10.0.0.7", {"team": "eu"}, "", "", None, ends_at)
    lines = _silenced(Status("run", "", "", 0, [], silences=[one, *[other] * 4]))
    assert [line.plain for line in lines] == [
        "silenced until 2026-11-29 14:00:00 UTC: chess, go, by anna@ops: new\N{REPLACEMENT CHARACTER}[31m rack",
        *["silenced until 2026-11-29 14:00:00 UTC: host 10.0.0.7 and team=eu"] * 2,
        "and 2 more silences: healthprobe silence --list",
    ]
