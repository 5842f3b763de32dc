"""`run --check`: everything that a run would use is looked at, and nothing is written, created or sent."""

from __future__ import annotations

import hashlib
import re
import socket
import sqlite3
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from tests.servers.nats import NatsServer
from tests.servers.ports import free_port
from tests.servers.redis import RedisServer
from tests.support.live_engine import LiveEngine
from tests.support.program import CommandLine, documents, written_games
from tests.support.terminal_session import OpenTerminal, assert_readable

from healthprobe.adapters.sql.schema import VERSION

Findings = dict[str, tuple[str, str]]


def state_of(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def check(command_line: CommandLine, *options: str) -> Findings:
    """Returns the verdict and the message of each part, of which each has one."""
    command_line("run", "--check", *options)
    assert command_line.err == []
    return {each["part"]: (each["verdict"], each["message"]) for each in documents(command_line.out)}


def test_all_is_well_and_nothing_is_written(command_line: CommandLine, tmp_path: Path, engine: LiveEngine) -> None:
    games = written_games(tmp_path, ["game-7", "go-1"], engine.endpoint)
    (tmp_path / "healthprobe.toml").write_text(
        f'records = "{games}"\npublish = ["stdout:", "file:events.jsonl"]\n'
        f'canary = ["{engine.endpoint}/healthz"]\nlisten = "127.0.0.1:{free_port()}"\n'
    )
    before = state_of(tmp_path)
    found = check(command_line, "--config", "healthprobe.toml", "--log", "sqlite:log.db")
    assert command_line.code == 0
    assert found == {
        "settings": ("ok", "4 settings in the file"),
        "records": ("ok", "2 running games"),
        "log": ("ok", "a run creates it"),
        "publish": ("ok", "a run creates it"),
        "canary": ("ok", "it answers 200"),
        "listen": ("ok", "it is free"),
    }
    assert state_of(tmp_path) == before


def test_a_database_is_read_as_it_is(command_line: CommandLine, tmp_path: Path) -> None:
    assert check(command_line)["records"] == ("ok", "a run creates it, without games")
    assert list(tmp_path.iterdir()) == []
    command_line("runtimes", "add", "game-7", "http://127.0.0.1:1")
    before = state_of(tmp_path)
    found = check(command_line)
    assert (found["records"], found["log"]) == (("ok", "1 running game"), ("ok", "it can be written"))
    assert state_of(tmp_path) == before


def test_a_database_that_a_run_has_open_is_read_with_its_latest_games(
    command_line: CommandLine, tmp_path: Path
) -> None:
    command_line("runtimes", "add", "game-7", "http://127.0.0.1:1")
    with closing(sqlite3.connect(tmp_path / "healthprobe.db")) as run:
        run.execute("UPDATE runtime_records SET game_id = 'go-1'")
        run.execute("UPDATE runtime_records SET engine_endpoint = 'x'")
        run.commit()
        before = state_of(tmp_path)
        verdict, message = check(command_line)["records"]
        assert verdict == "warning"
        assert message.startswith("1 running game, 1 bad record, the first: go-1: invalid endpoint: it has no scheme")
        assert set(state_of(tmp_path)) == set(before)


def test_an_older_schema_is_not_migrated(command_line: CommandLine, tmp_path: Path) -> None:
    command_line("runtimes", "add", "game-7", "http://127.0.0.1:1")
    with closing(sqlite3.connect(tmp_path / "healthprobe.db")) as database:
        database.execute("UPDATE healthprobe_schema SET version = version - 1")
        database.commit()
    before = state_of(tmp_path)
    message = f"a run changes its schema from version {VERSION - 1} to {VERSION}"
    found = check(command_line)
    assert (found["records"], found["log"]) == (("ok", message), ("ok", message))
    assert state_of(tmp_path) == before


def test_each_thing_that_is_wrong_has_its_line_and_none_hides_another(
    command_line: CommandLine, tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("my notes\n")
    (tmp_path / "games.yaml").write_text("- {game_id: game-7}\n")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        command_line(
            *("run", "--check", "--records", "file:games.yaml", "--log", "sqlite:no/such/folder/log.db"),
            *("--publish", "file:notes.txt", "--publish", "file:no/such/folder/x", "--publish", "nats://bus"),
            *("--publish", "https://127.0.0.1:1/hook", "--notify", "nonsense", "--canary", "http://127.0.0.1:1/"),
            *("--alert", "alertmanager+http://127.0.0.1:1", "--alert", "pager://x", "--alert", "pagerduty:env:NONE"),
            *(
                "--otlp",
                "grpc://127.0.0.1:4317",
                "--heartbeat",
                "http://127.0.0.1:1/secret",
                "--listen",
                f"127.0.0.1:{taken.getsockname()[1]}",
            ),
        )
    assert command_line.code == 2
    assert "secret" not in "".join(command_line.out)
    found = [(each["part"], each["message"]) for each in documents(command_line.out) if each["verdict"] == "wrong"]
    expected = [
        ("records", "games.yaml:1: the field engine_endpoint is missing"),
        ("log", "there is no folder no/such/folder"),
        ("publish", "notes.txt: it holds something other than health events"),
        ("publish", "no/such/folder/x: its folder does not exist"),
        ("publish", "--publish nats:…: not a known URL"),
        ("publish", "127.0.0.1:1 cannot be reached (connection refused): check that it runs"),
        ("notify", "apprise does not know"),
        ("alert", "Alertmanager at http://127.0.0.1:1: connection refused"),
        ("alert", "--alert pager:…: not a known URL"),
        ("alert", "the variable NONE is not set"),
        ("canary", "connection refused: while no canary answers 200 no failure counts"),
        ("otlp", "--otlp grpc://127.0.0.1:4317: only OTLP over HTTP is supported"),
        ("heartbeat", "127.0.0.1:1 cannot be reached (connection refused)"),
        ("listen", "address already in use; choose another"),
    ]
    assert [part for part, _ in found] == [part for part, _ in expected]
    for (_, message), (_, words) in zip(found, expected, strict=True):
        assert words in message
    assert {path.name for path in tmp_path.iterdir()} == {"notes.txt", "games.yaml"}


def test_settings_that_contradict_each_other_are_one_line_as_for_a_run(command_line: CommandLine) -> None:
    refused = command_line("run", "--check", "--timeout", "9s")
    assert (refused.code, refused.out) == (2, [])
    assert "--timeout 9s is not shorter than --interval 5s" in refused.err[0]


def test_a_secret_that_others_can_read_and_a_route_that_fits_no_game_are_warnings(
    command_line: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP", "alertmanager+http://127.0.0.1:9")
    (tmp_path / "token").write_text("word")
    (tmp_path / "token").chmod(0o644)
    (tmp_path / "games.yaml").write_text('- {game_id: game-7, engine_endpoint: "http://h:1", labels: {team: eu}}\n')
    (tmp_path / "healthprobe.toml").write_text(
        'token = "file:token"\n[[alerts]]\nto = "env:HTTP"\n'
        '[[alerts]]\nto = "env:HTTP"\nmatch = { team = "eu", host = "h" }\n'
        '[[alerts]]\nto = "env:HTTP"\nmatch = { team = "us" }\n'
    )
    command_line("run", "--check", "--config", "healthprobe.toml", "--records", "file:games.yaml")
    warnings = [each["message"] for each in documents(command_line.out) if each["verdict"] == "warning"]
    assert [text.split(":")[0] for text in warnings] == ["healthprobe.toml", "no running game has team = us"]


def test_the_key_of_an_alerter_that_others_can_read_is_a_warning(
    command_line: CommandLine, tmp_path: Path, engine: LiveEngine
) -> None:
    (tmp_path / "key").write_text("k" * 32)
    (tmp_path / "key").chmod(0o644)
    place = f"pagerduty+{engine.endpoint}?key=file:{tmp_path / 'key'}"
    verdict, message = check(command_line, "--alert", place)["alert"]
    assert (verdict, command_line.code) == ("warning", 0)
    assert message.startswith("it takes connections; nothing was sent; the secret file")
    assert "chmod 600" in message


def test_postgresql_is_looked_at_in_transactions_that_cannot_write(
    command_line: CommandLine, postgres_url: str, tmp_path: Path
) -> None:
    at = ("--records", postgres_url, "--log", postgres_url)
    found = check(command_line, *at)
    assert (found["records"][1], found["log"][1]) == ("a run creates its tables",) * 2
    command_line("runtimes", "add", "game-7", "http://127.0.0.1:1", "--records", postgres_url)
    found = check(command_line, *at)
    assert (found["records"], found["log"]) == (("ok", "1 running game"), ("ok", "it can be written"))
    query = "SELECT game_id, current_container_id, engine_endpoint FROM runtime_records"
    assert check(command_line, *at, "--records-query", query)["records"] == ("ok", "1 running game")
    found = check(command_line, *at, "--records-query", "SELECT game_id FROM runtime_records")
    assert found["records"][0] == "wrong"
    assert "there is no column current_container_id" in found["records"][1]


def test_a_user_of_postgresql_who_may_not_write_is_named_with_the_grant(
    command_line: CommandLine, postgres_url: str
) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("CREATE ROLE reader LOGIN")
        reader = re.sub(r"//[^@]*@", "//reader@", postgres_url)
        verdict, message = check(command_line, "--log", reader)["log"]
        assert (verdict, message.partition(": ")[2]) == (
            "wrong",
            "this user may not create tables in its schema: GRANT CREATE ON SCHEMA",
        )
        command_line("runtimes", "add", "game-7", "http://127.0.0.1:1", "--records", postgres_url)
        connection.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader")
        verdict, message = check(command_line, "--log", reader)["log"]
        assert (verdict, message.partition(": ")[2]) == (
            "wrong",
            "this user may not write health_events: GRANT INSERT ON health_events",
        )
        connection.execute("DROP OWNED BY reader; DROP ROLE reader")


def test_nats_is_asked_and_nothing_is_made_there(command_line: CommandLine, nats_process: NatsServer) -> None:
    url = f"{nats_process.url()}?prefix=checked"
    for _ in range(2):
        found = check(command_line, "--cluster", url)
        assert found["records"] == ("ok", "a run creates it, without games")
        assert found["cluster"] == ("ok", "it answers, and a run creates the log in it")


def test_redis_is_asked_for_an_answer(command_line: CommandLine) -> None:
    with RedisServer() as redis:
        assert check(command_line, "--publish", redis.url())["publish"] == ("ok", "it answers")
        assert redis.command("DBSIZE") in (0, b"0", "0")
    verdict, message = check(command_line, "--publish", redis.url())["publish"]
    assert verdict == "wrong"
    assert "look whether the server runs" in message


def test_a_terminal_gets_a_table(terminal: OpenTerminal, tmp_path: Path) -> None:
    session = terminal("run", "--check", "--canary", "http://127.0.0.1:1/")
    assert session.end() == 2
    assert_readable(session)
    lines = " ".join(" ".join(session.lines).split())
    assert "log ok sqlite:healthprobe.db a run creates it" in lines
    assert "canary wrong http://127.0.0.1:1/ connection refused: while no canary answers" in lines
    assert list(tmp_path.iterdir()) == []
