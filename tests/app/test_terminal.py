"""Output in a terminal: lines and tables that fit 80 columns, in the terminal's own colours."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from tests.support.program import Program
from tests.support.terminal_session import OpenTerminal, assert_readable

from healthprobe._util.text import printable
from healthprobe.app.terminal import transition_text
from healthprobe.domain.event import HealthEvent, ProbeFailedDetails, ProbeRecoveredDetails
from healthprobe.testing.engines import Script
from healthprobe.testing.fleet import FleetProcess

UNMOVED = ("--log-level", "error")
"""It says nothing of its own about a machine that is busy."""


def test_the_demo_prints_an_introduction_a_line_per_transition_and_a_summary(terminal: OpenTerminal) -> None:
    session = terminal("demo", "--interval", "300ms", "--timeout", "250ms", *UNMOVED)
    session.read_until("chess-1             3 failures: connection refused")
    session.read_until("recovered")
    session.interrupt()
    assert session.end() == 0
    assert_readable(session)
    introduction, address, *transitions, summary = session.lines
    assert introduction == "12 engines crash, hang and recover; 3 failures in a row count. Ctrl-C ends it."
    assert re.fullmatch(r"Page: http://127\.0\.0\.1:\d+/", address)
    refused = r"\d\d:\d\d:\d\d  failed     chess-1             3 failures: connection refused"
    assert any(re.fullmatch(refused, line) for line in transitions)
    assert all(re.match(r"\d\d:\d\d:\d\d  (failed|recovered)  ", line) for line in transitions)
    assert re.fullmatch(rf"12 engines, \d+ probes, {len(transitions)} transitions, \d+ incidents? open\.", summary)


def test_check_is_a_table(terminal: OpenTerminal) -> None:
    with FleetProcess({"steady": Script()}) as fleet:
        session = terminal("check", fleet.endpoints["steady"], "http://user:secret@127.0.0.1:1/" + "long/" * 20)
        assert session.end() == 1
    assert_readable(session)
    text = "\n".join(session.lines)
    assert re.search(r"http://127\.0\.0\.1:\d+ +healthy +[\d.]+ ms", text)
    assert re.search(r"http://\*\*\*@127\.0\.0\.1:1/\S+ +failed +[\d.]+ ms +connection refused", text)
    assert "secret" not in text


def test_a_run_without_games_prints_how_to_add_one(terminal: OpenTerminal, program: Program) -> None:
    session = terminal("run", "--interval", "600ms", "--timeout", "500ms", "--failures", "1", *UNMOVED)
    session.read_until("runtimes add")
    program("runtimes", "add", "game-7", "http://127.0.0.1:1")
    session.read_until("connection refused")
    session.interrupt()
    assert session.end() == 0
    assert_readable(session)
    first, second, transition, summary = session.lines
    assert first == "0 running games, probed every 600ms; 1 failure counts. Ctrl-C ends it."
    assert second == "Add a game: healthprobe runtimes add GAME http://HOST:PORT, now or at any time."
    assert transition.endswith("failed     game-7              1 failure: connection refused")
    assert re.fullmatch(r"1 engine, \d+ probes?, 1 transition, 1 incident open\.", summary)

    for command, expected in {"incidents": r"game-7 .+ open +connection", "runtimes": r"game-7 +running +http"}.items():
        listing = terminal(*{"incidents": ["incidents"], "runtimes": ["runtimes", "list"]}[command])
        assert listing.end() == 0
        assert_readable(listing)
        assert re.search(expected, "\n".join(listing.lines))


def test_no_color_removes_colour_from_log_lines_too(terminal: OpenTerminal) -> None:
    session = terminal("run", "--records", "sqlite:games.db", "--log-level", "info", NO_COLOR="1")
    session.read_until("health probe worker started")
    session.interrupt()
    assert session.end() == 0
    assert "\x1b" not in session.screen.replace("\x1b[2m", "").replace("\x1b[0m", ""), "dim is not a colour"
    assert any(re.match(r"\d\d:\d\d:\d\d \[info +\] health probe worker started +\w+=", line) for line in session.lines)


def test_json_works_in_a_terminal_too(terminal: OpenTerminal) -> None:
    session = terminal("check", "http://127.0.0.1:1", "--json")
    assert session.end() == 1
    assert session.screen.startswith('{"endpoint":"http://127.0.0.1:1","healthy":false,')


@pytest.mark.proves("terminal-escapes")
def test_an_engine_cannot_move_the_cursor() -> None:
    details = ProbeFailedDetails(3, 0, "\x1b[2Jcleared\x9b31m")
    line = transition_text(HealthEvent(1, "game\x1b]0;title\x07\n", "", datetime.now(UTC), details)).plain
    assert line.isprintable()
    assert printable("a\tb\u202ec") == "a�b�c"


def test_one_failure_is_not_two() -> None:
    when = datetime.now(UTC)
    assert transition_text(HealthEvent(1, "g", "", when, ProbeFailedDetails(1, 0, "x"))).plain.endswith("1 failure: x")
    assert transition_text(HealthEvent(2, "g", "", when, ProbeRecoveredDetails(1234))).plain.endswith("1,234 failures")
