"""`silence`: no alarms of some games for a time, whatever store lists them."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.support.program import CommandLine, Document, documents, written_games

from healthprobe.app.urls import Adapters
from healthprobe.testing.contracts.samples import failed

WITHOUT_TIMES = ("id", "created_at", "ends_at")


def games_at(command_line: CommandLine, **endpoints: str) -> None:
    for game_id, endpoint in endpoints.items():
        command_line("runtimes", "add", game_id, endpoint)


def listed(command_line: CommandLine) -> list[Document]:
    told = command_line("silence", "--list")
    assert told.code == 0
    return documents(told.out)


def test_a_silence_is_kept_with_who_and_why_and_the_store_stays_as_it_is(command_line: CommandLine) -> None:
    games_at(command_line, chess="http://10.0.0.7:8080")
    before, now = command_line("runtimes", "list").out, datetime.now(UTC)
    told = command_line("silence", "chess", "--for", "10m", "--reason", "new version", "--who", "anna@ops")
    assert told.code == 0
    [made] = documents(told.out)
    assert told.err[0].startswith("healthprobe: chess: silenced until ")
    assert told.err[0].endswith(f" UTC), 1 running game; healthprobe silence --end {made['id']}")
    [known] = listed(command_line)
    assert known == made
    assert abs(datetime.fromisoformat(known["ends_at"]) - now - timedelta(minutes=10)) < timedelta(seconds=30)
    assert {name: value for name, value in known.items() if name not in WITHOUT_TIMES} == {
        "games": ["chess"],
        "host": "",
        "labels": {},
        "who": "anna@ops",
        "why": "new version",
    }
    assert command_line("runtimes", "list").out == before


def test_games_can_be_meant_by_their_host_and_their_labels(command_line: CommandLine) -> None:
    games_at(command_line, chess="http://10.0.0.7:8080", go="http://10.0.0.7:8081", ludo="http://10.0.0.8:8080")
    told = command_line("silence", "--host", "10.0.0.7", "--for", "1h")
    assert (told.code, len(told.err)) == (0, 1)
    assert "host 10.0.0.7: silenced until" in told.err[0]
    assert ", 2 running games;" in told.err[0]
    told = command_line(
        "silence", "chess", "--host", "10.0.0.7", "--label", "team=eu", "--label", "tier=", "--for", "2h"
    )
    assert documents(told.out)[0]["labels"] == {"team": "eu", "tier": ""}
    assert [each["host"] for each in listed(command_line)] == ["10.0.0.7", "10.0.0.7"]


def test_who_is_the_user_of_this_machine_and_why_has_a_synonym(
    command_line: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    games_at(command_line, chess="http://10.0.0.7:8080")
    monkeypatch.setattr("getpass.getuser", lambda: "anna")
    monkeypatch.setattr("socket.gethostname", lambda: "ops-1")
    [made] = documents(command_line("silence", "chess", "--for", "10m", "--why", "new map").out)
    assert (made["who"], made["why"]) == ("anna@ops-1", "new map")


def test_a_silence_that_means_no_running_game_says_so_at_once(command_line: CommandLine) -> None:
    games_at(command_line, chess="http://10.0.0.7:8080")
    told = command_line("silence", "chess", "go", "--for", "1h")
    assert (told.code, told.err[1:]) == (1, ["healthprobe: not running, according to sqlite:healthprobe.db: go"])
    told = command_line("silence", "--host", "10.0.0.9", "--for", "1h")
    assert (told.code, told.err[1:]) == (
        1,
        ["healthprobe: it matches no running game of sqlite:healthprobe.db now; it will silence those that begin to"],
    )
    assert len(listed(command_line)) == 2, "they are kept: games come and go"


def test_any_store_will_do_and_none_is_needed(command_line: CommandLine, tmp_path: Path) -> None:
    games_at(command_line, other="http://h:1")
    games = written_games(tmp_path, ["chess"], "http://10.0.0.7:8080")
    assert command_line("silence", "chess", "--for", "1h", "--records", games).code == 0
    told = command_line("silence", "chess", "--for", "1h", "--records", "file:missing.yaml")
    assert told.code == 0
    assert told.err[1].startswith("healthprobe: which running games that concerns is not known: ")


def test_a_silence_is_ended_by_its_id_by_its_game_or_by_its_conditions(command_line: CommandLine) -> None:
    games_at(command_line, chess="http://10.0.0.7:8080", go="http://10.0.0.7:8081")
    [first] = documents(command_line("silence", "chess", "go", "--for", "1h").out)
    command_line("silence", "--host", "10.0.0.7", "--for", "1h")
    command_line("silence", "chess", "--for", "1h")
    assert command_line("silence", "chess", "--end").err == ["healthprobe: chess: no longer silenced"]
    assert [(each["games"], each["host"]) for each in listed(command_line)] == [(["go"], ""), ([], "10.0.0.7")]
    assert command_line("silence", "--end", first["id"]).err == ["healthprobe: go: no longer silenced"]
    told = command_line("silence", "--host", "10.0.0.7", "--end")
    assert (told.code, told.err) == (0, ["healthprobe: host 10.0.0.7: no longer silenced"])
    assert listed(command_line) == []
    told = command_line("silence", "chess", "--end")
    assert (told.code, told.err) == (1, ["healthprobe: no silence has this id or names this game alone: chess"])
    assert command_line("silence", "--host", "10.0.0.7", "--end").code == 1


def test_the_silence_of_a_record_is_listed_and_ended_where_it_is(command_line: CommandLine, tmp_path: Path) -> None:
    record = {"game_id": "chess", "engine_endpoint": "http://h:1", "silenced_until": "2999-01-01T00:00:00Z"}
    games = tmp_path / "games.json"
    games.write_text(json.dumps([{**record, "silenced_why": "new map"}]))
    command_line("runtimes", "import", str(games))
    [known] = listed(command_line)
    assert (known["id"], known["games"], known["why"]) == (None, ["chess"], "new map")
    in_file = command_line("silence", "chess", "--end", "--records", f"file:{games}")
    assert (in_file.code, len(in_file.err)) == (2, 1)
    assert "cannot be edited here: remove silenced_until there" in in_file.err[0]
    assert command_line("silence", "chess", "--end").err == ["healthprobe: chess: no longer silenced"]
    assert listed(command_line) == []


def test_a_silence_that_another_program_altered_is_named_and_hides_no_other(
    command_line: CommandLine, tmp_path: Path
) -> None:
    games_at(command_line, chess="http://10.0.0.7:8080")
    [made] = documents(command_line("silence", "chess", "--for", "1h").out)
    command_line("silence", "chess", "--for", "2h")
    with sqlite3.connect(tmp_path / "healthprobe.db") as database:
        database.execute("UPDATE healthprobe_documents SET document = '[]' WHERE key = ?", (made["id"],))
    database.close()
    told = command_line("silence", "--list")
    assert told.err == [f"healthprobe: silence {made['id']} cannot be read, and silences nothing: it is a list"]
    assert len(told.out) == 1


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        (("game-7",), "write how long, as in --for 10m, or --end"),
        (("game-7", "--for", "10m", "--end"), "write how long, as in --for 10m, or --end"),
        (("game-7", "--for", "10"), "'10' has no unit"),
        (("game-7", "--for", "10m", "--why", "two\nlines"), "--reason: write one line"),
        (("game-7", "--for", "10m", "--who", "x" * 201), "--who: write one line of at most 200 characters"),
        (("--for", "10m"), "write which games: their ids, --host or --label"),
        (("--end",), "write which games: their ids, --host or --label"),
        (("--label", "team", "--for", "10m"), "is no label: write NAME=VALUE, such as team=eu"),
        (("--label", "a=1", "--label", "a=2", "--for", "10m"), "--label: one name has two values"),
        (("--host", "a\nb", "--for", "10m"), "--host: write the host of an engine_endpoint"),
        (("game-7", "--list"), "--list shows all silences: leave out everything else"),
        ((*map(str, range(1001)), "--for", "10m"), "1,001 games are too many for one silence"),
    ],
)
def test_a_wrong_silence_is_refused_with_what_to_write(
    command_line: CommandLine, arguments: tuple[str, ...], advice: str
) -> None:
    told = command_line("silence", *arguments)
    assert (told.code, len(told.err)) == (2, 1)
    assert advice in told.err[0]


def test_status_and_explain_mention_a_silence_from_a_log_too(command_line: CommandLine, tmp_path: Path) -> None:
    async def written() -> None:
        async with Adapters() as adapters:
            await (await adapters.log(f"sqlite:{tmp_path / 'healthprobe.db'}")).append([failed("chess", 1)])

    asyncio.run(written())
    games_at(command_line, chess="http://10.0.0.7:8080")
    [made] = documents(command_line("silence", "chess", "--for", "1h", "--who", "anna", "--why", "new map").out)
    log = ("--log", "sqlite:healthprobe.db")
    assert documents(command_line("status", *log).out)[0]["silences"] == [made]
    [explained] = documents(command_line("explain", "chess", *log).out)
    assert "It is silenced by anna until " in explained["explanation"]
    assert explained["explanation"].endswith(" UTC (new map): no alarm is raised before then.")
