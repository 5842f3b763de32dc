"""The whole program: a game that is stopped while it is down is an incident no longer, and does not count as up."""

from __future__ import annotations

import json
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest
from tests.support.program import QUICK, CommandLine, Program, documents, next_document
from tests.support.waiting import PATIENCE

GONE = {"game_id": "game-7", "current_container_id": "c", "engine_endpoint": "http://127.0.0.1:1"}


def list_games(folder: Path, *games: dict[str, str]) -> None:
    (folder / "new.json").write_text(json.dumps(games))
    (folder / "new.json").rename(folder / "games.json")


def wait_for_status_0(command_line: CommandLine) -> None:
    deadline = time.monotonic() + PATIENCE
    while command_line("status", "--log", "sqlite:healthprobe.db").code != 0:
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.parametrize("options", [[], ["--ended-events"]])
def test_a_game_that_is_stopped_while_it_is_down_counts_no_longer(
    program: Program, command_line: CommandLine, tmp_path: Path, options: list[str]
) -> None:
    list_games(tmp_path, GONE)
    running = program.start(*QUICK, "--records", "file:games.json", *options)
    assert next_document(running)["event_type"] == "probe_failed"
    assert command_line("status", "--log", "sqlite:healthprobe.db").code == 1
    list_games(tmp_path)
    wait_for_status_0(command_line)
    [incident] = documents(command_line("incidents").out)
    assert (incident["open"], incident["recovered_at"]) == (False, None)
    assert incident["gone_at"] > incident["failed_at"]
    kinds = [event["event_type"] for event in documents(command_line("events").out)]
    assert kinds == ["probe_failed", "probe_ended"][: 1 + len(options)]
    told = command_line("explain", "game-7", "--log", "sqlite:healthprobe.db")
    assert told.code == 0
    assert "no longer runs" in told.out[0]
    [row, _] = documents(command_line("report", "--since", "1h").out)
    assert row["down_s"] == pytest.approx(incident["duration_s"], abs=0.01)
    assert row["up_s"] < 1
    running.send_signal(signal.SIGTERM)
    running.wait(timeout=PATIENCE)


def test_a_run_that_stops_leaves_a_note_of_when_it_watched(program: Program, tmp_path: Path) -> None:
    list_games(tmp_path)
    running = program.start(*QUICK, "--records", "file:games.json")
    time.sleep(6.5)  # two looks
    running.send_signal(signal.SIGTERM)
    assert running.wait(timeout=PATIENCE) == 0
    with closing(sqlite3.connect(tmp_path / "healthprobe.db")) as connection:
        [(text,)] = connection.execute("SELECT document FROM healthprobe_documents WHERE kind = 'watch'").fetchall()
    [[start, end]] = json.loads(text)[""]
    assert 0 < end - start < 10
