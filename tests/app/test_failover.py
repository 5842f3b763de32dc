"""`run` with its log on two PostgreSQL servers: the primary is killed, the standby promoted."""

from __future__ import annotations

import time
from pathlib import Path

import psycopg
from tests.servers.postgres import PostgresServer
from tests.servers.postgres_standby import PostgresStandby
from tests.support.live_engine import LiveEngine
from tests.support.program import QUICK, Program, next_document, next_log_line, written_games
from tests.support.waiting import PATIENCE


def test_what_is_decided_during_a_failover_is_written_once_to_the_promoted_standby(
    program: Program, engine: LiveEngine, tmp_path: Path
) -> None:
    with PostgresServer() as primary, PostgresStandby(primary) as standby:
        hosts = f"127.0.0.1:{standby.port},127.0.0.1:{primary.port}"
        log = ("--log", f"postgresql+psycopg://postgres:p@ss/word@{hosts}/postgres")
        engine.become(503)
        running = program.start(*QUICK, "--records", written_games(tmp_path, ["game-1"], engine.endpoint), *log)
        assert next_document(running)["id"] == "game-1:1"
        while events_on(standby) != ["game-1:1"]:
            time.sleep(0.05)
        primary.kill()
        engine.become(200)
        while (line := next_log_line(running))["msg"] != "publish health event":
            assert "p@ss" not in str(line)
        assert hosts in line["err"] or "the log has not answered" in line["err"]  # the latter on a busy machine
        standby.promote()
        assert next_document(running)["id"] == "game-1:2"
        running.terminate()
        assert running.wait(timeout=PATIENCE) == 0
        assert events_on(standby) == ["game-1:1", "game-1:2"]


def events_on(server: PostgresServer) -> list[object]:
    try:
        with server.connect("postgres") as connection:
            return [event_id for (event_id,) in connection.execute("SELECT id FROM health_events ORDER BY position")]
    except psycopg.errors.UndefinedTable:  # a standby that is a moment behind
        return []
