"""Skipped records are logged once and counted, and the other games are probed."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from tests.servers.postgres import PostgresServer
from tests.support.live_engine import LiveEngine
from tests.support.program import QUICK, CommandLine, Program, next_document, next_log_line
from tests.support.waiting import PATIENCE

from healthprobe.app.urls import SkippedRecords
from healthprobe.testing.stage import Stage

QUERY = "SELECT id AS game_id, container AS current_container_id, url AS engine_endpoint FROM games"
THEIRS = ("--records", "sqlite:theirs.db", "--records-query", QUERY)


def put(folder: Path, *rows: tuple[str, str | None, str]) -> None:
    """Add these rows to the user's own table."""
    with closing(sqlite3.connect(folder / "theirs.db")) as connection, connection:
        connection.execute("CREATE TABLE IF NOT EXISTS games (id TEXT, container TEXT, url TEXT)")
        connection.executemany("INSERT INTO games VALUES (?, ?, ?)", rows)


async def test_a_new_reason_is_logged_once_and_every_record_is_counted() -> None:
    stage = Stage()
    skipped = SkippedRecords(stage.telemetry, stage.logger)
    for count, reason in [(0, ""), (2, "no url"), (3, "no url"), (1, "no container"), (0, ""), (0, "")]:
        skipped.report(count, reason)
        assert stage.telemetry.skipped_records == count
    assert [(line["log_level"], line["event"], line.get("count"), line.get("err")) for line in stage.lines] == [
        ("warning", "records skipped", 2, "no url"),
        ("warning", "records skipped", 1, "no container"),
        ("info", "no record is skipped any more", None, None),
    ]


def test_a_bad_row_is_refused_at_the_start_with_its_column(command_line: CommandLine, tmp_path: Path) -> None:
    put(tmp_path, ("game-7", None, "http://127.0.0.1:1"))
    told = command_line(*QUICK, *THEIRS)
    assert (told.code, told.out, len(told.err)) == (2, [], 1)
    assert "--records-query: " in told.err[0]
    assert "current_container_id" in told.err[0]


def test_a_later_bad_row_is_logged_and_the_other_games_are_probed(
    program: Program, engine: LiveEngine, tmp_path: Path
) -> None:
    put(tmp_path, ("game-1", "c0ffee", engine.endpoint))
    running = program.start(*QUICK, *THEIRS)
    engine.wait_for_probes(2)
    put(tmp_path, ("game-2", None, engine.endpoint))
    while (line := next_log_line(running))["msg"] != "records skipped":
        pass
    assert (line["level"], line["count"]) == ("WARNING", 1)
    assert "current_container_id" in line["err"]
    engine.become(503)
    failed = next_document(running)
    assert (failed["id"], failed["container_id"]) == ("game-1:1", "c0ffee")
    running.terminate()
    assert running.wait(timeout=PATIENCE) == 0


def test_a_start_with_one_bad_row_among_others_skips_it_by_name(
    program: Program, engine: LiveEngine, tmp_path: Path
) -> None:
    put(tmp_path, ("game-1", "c0ffee", engine.endpoint), ("game-2", None, engine.endpoint))
    with closing(sqlite3.connect(tmp_path / "theirs.db")) as connection, connection:
        connection.execute("UPDATE games SET container = CAST(x'ff' AS TEXT) WHERE id = 'game-2'")
    running = program.start(*QUICK, *THEIRS)
    while (line := next_log_line(running))["msg"] != "records skipped":
        pass
    assert (line["count"], line["err"]) == (1, "current_container_id is not UTF-8 for game game-2: b'\\xff'")
    engine.become(503)
    assert next_document(running)["id"] == "game-1:1"
    running.terminate()
    assert running.wait(timeout=PATIENCE) == 0


def test_games_of_postgresql_are_probed_though_one_is_silenced_for_ever(
    program: Program, engine: LiveEngine, postgres_url: str
) -> None:
    query = (
        "SELECT id AS game_id, 'c' AS current_container_id, "
        f"'{engine.endpoint}' AS engine_endpoint, "
        "CASE id WHEN 'game-2' THEN 'infinity'::timestamptz END AS silenced_until "
        "FROM (VALUES ('game-1'), ('game-2')) AS games (id)"
    )
    engine.become(503)
    running = program.start(*QUICK, "--records", postgres_url, "--records-query", query)
    assert next_document(running)["id"] == "game-1:1"
    running.terminate()
    assert running.wait(timeout=PATIENCE) == 0


def test_a_log_that_does_not_hold_every_character_ends_the_start_with_what_to_change(
    command_line: CommandLine, postgres_server: PostgresServer
) -> None:
    with postgres_server.connect("postgres") as administrator:
        administrator.execute("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    told = command_line(*QUICK, "--log", postgres_server.address(postgres_server.port, "latin"))
    with postgres_server.connect("postgres") as administrator:
        administrator.execute("DROP DATABASE latin")
    assert (told.code, told.out, len(told.err)) == (2, [], 1)
    assert "has the encoding LATIN1" in told.err[0]
    assert "CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0" in told.err[0]


@pytest.mark.parametrize("records", ["file:games.json", "https://user:secret@host/games", "stdout:", "nonsense"])
def test_a_query_requires_a_database(command_line: CommandLine, records: str) -> None:
    told = command_line("run", "--records", records, "--records-query", QUERY)
    assert (told.code, told.out, len(told.err)) == (2, [], 1)
    assert "--records-query needs a database, and --records " in told.err[0]
    assert "is none; use sqlite: or postgresql:" in told.err[0]
    assert "secret" not in told.err[0]
