"""`runtimes`: edits a store of runtime records."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.support.program import CommandLine, Document, documents


def listed(command_line: CommandLine) -> list[Document]:
    told = command_line("runtimes", "list")
    assert told.code == 0
    return documents(told.out)


def test_an_added_game_is_listed_with_exactly_its_fields(command_line: CommandLine) -> None:
    assert command_line("runtimes", "add", "game-7", "http://10.0.0.7:8080", "--container", "c0ffee").code == 0
    assert command_line("runtimes", "add", "game-8", "http://10.0.0.8:8080", "--status", "stopped").code == 0
    assert [list(record.items()) for record in listed(command_line)] == [
        [
            ("game_id", "game-7"),
            ("current_container_id", "c0ffee"),
            ("engine_endpoint", "http://10.0.0.7:8080"),
            ("status", "running"),
        ],
        [
            ("game_id", "game-8"),
            ("current_container_id", ""),
            ("engine_endpoint", "http://10.0.0.8:8080"),
            ("status", "stopped"),
        ],
    ]


def test_adding_a_game_again_replaces_it(command_line: CommandLine) -> None:
    for endpoint in ("http://10.0.0.7:8080", "http://10.0.0.7:9090"):
        command_line("runtimes", "add", "game-7", endpoint)
    assert [record["engine_endpoint"] for record in listed(command_line)] == ["http://10.0.0.7:9090"]


@pytest.mark.parametrize(
    ("game", "endpoint", "reason"),
    [
        ("game-7", "10.0.0.7:8080", "it has no scheme"),
        ("game-7", "http://user:secret@h:1?x=1", "it has a query"),
        ("game-7", "http://h:99999", "its port is not a number from 1 to 65535"),
        ("", "http://h:1", "a game without an id"),
    ],
)
def test_a_record_that_cannot_be_probed_is_refused_with_the_reason(
    command_line: CommandLine, tmp_path: Path, game: str, endpoint: str, reason: str
) -> None:
    told = command_line("runtimes", "add", game, endpoint)
    assert (told.code, len(told.err)) == (2, 1)
    assert reason in told.err[0]
    assert "secret" not in told.err[0]
    assert not list(tmp_path.iterdir())


def test_removing_reports_unknown_games_and_removes_the_others(command_line: CommandLine) -> None:
    for game in ("game-7", "game-8", "game-9"):
        command_line("runtimes", "add", game, "http://10.0.0.7:8080")
    told = command_line("runtimes", "remove", "game-7", "game-70", "game-8")
    assert (told.code, told.err) == (1, ["healthprobe: not in sqlite:healthprobe.db: game-70"])
    assert [record["game_id"] for record in listed(command_line)] == ["game-9"]
    assert command_line("runtimes", "remove", "game-9").code == 0
    assert listed(command_line) == []


def test_credentials_are_listed_as_asterisks(command_line: CommandLine) -> None:
    command_line("runtimes", "add", "game-7", "http://user:secret@10.0.0.7:8080")
    assert listed(command_line)[0]["engine_endpoint"] == "http://***@10.0.0.7:8080"


def test_a_file_is_imported_whole_with_every_status(command_line: CommandLine, tmp_path: Path) -> None:
    records = [
        {"game_id": f"game-{number}", "current_container_id": "", "engine_endpoint": "http://h:1", "status": status}
        for number, status in enumerate(["running", "stopped"])
    ]
    (tmp_path / "games.json").write_text(json.dumps(records))
    told = command_line("runtimes", "import", "games.json")
    assert (told.code, told.err) == (0, ["healthprobe: imported 2 games into sqlite:healthprobe.db"])
    assert listed(command_line) == records


def test_nothing_is_imported_if_one_endpoint_cannot_be_probed(command_line: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "games.yaml").write_text(
        "- {game_id: game-7, current_container_id: '', engine_endpoint: 'http://h:1', status: running}\n"
        "- {game_id: game-8, current_container_id: '', engine_endpoint: 'h:1', status: running}\n"
    )
    told = command_line("runtimes", "import", "games.yaml")
    assert (told.code, len(told.err)) == (2, 1)
    assert "game-8" in told.err[0]
    assert not (tmp_path / "healthprobe.db").exists()


@pytest.mark.parametrize("content", [None, b"\xff\xfe", b"- {game_id: 7", b"{}"])
def test_a_file_that_cannot_be_read_is_named_in_one_line(
    command_line: CommandLine, tmp_path: Path, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / "games.yaml").write_bytes(content)
    told = command_line("runtimes", "import", "games.yaml")
    assert (told.code, len(told.err)) == (2, 1)
    assert "games.yaml" in told.err[0]


def test_only_the_embedded_store_is_edited_here(command_line: CommandLine) -> None:
    told = command_line("runtimes", "add", "game-7", "http://h:1", "--records", "file:games.yaml")
    assert (told.code, len(told.err)) == (2, 1)
    assert "is edited in the file itself" in told.err[0]


@pytest.mark.parametrize("arguments", [("list",), ("remove", "game-7")])
def test_listing_does_not_create_a_store(command_line: CommandLine, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    told = command_line("runtimes", *arguments)
    assert (told.code, len(told.err)) == (2, 1)
    assert not list(tmp_path.iterdir())


def test_a_postgresql_store_is_edited_like_the_embedded_store_and_its_password_is_not_shown(
    command_line: CommandLine, postgres_url: str, tmp_path: Path
) -> None:
    url = postgres_url.replace("postgres@", "postgres:SECRET@")
    games = tmp_path / "games.json"
    games.write_text('[{"game_id": "game-7", "engine_endpoint": "http://10.0.0.7:8080"}]')
    imported = command_line("runtimes", "import", str(games), "--records", url)
    assert (imported.code, imported.err[0].partition("@")[0]) == (
        0,
        "healthprobe: imported 1 game into postgresql://***",
    )
    assert documents(command_line("runtimes", "list", "--records", url).out)[0]["game_id"] == "game-7"
    missing = command_line("runtimes", "remove", "game-7", "game-8", "--records", url)
    assert missing.code == 1
    assert "SECRET" not in "".join(missing.err)
    assert command_line("runtimes", "list", "--records", url).out == []


@pytest.mark.proves("settings-without-secrets")
def test_probe_settings_are_kept_and_listed_without_secrets(command_line: CommandLine) -> None:
    probe = '{"path": "/ready", "headers": {"Authorization": "Bearer abc", "X-Probe": "yes"}}'
    assert command_line("runtimes", "add", "game-7", "http://10.0.0.7:8080", "--probe", probe).code == 0
    [record] = listed(command_line)
    assert record["probe"] == {"path": "/ready", "headers": {"Authorization": "***", "X-Probe": "yes"}}


def test_invalid_probe_settings_are_refused_with_the_reason(command_line: CommandLine, tmp_path: Path) -> None:
    told = command_line("runtimes", "add", "game-7", "http://10.0.0.7:8080", "--probe", '{"tiemout": "2s"}')
    assert (told.code, len(told.err)) == (2, 1)
    assert 'game-7: probe settings: unknown key "tiemout" (did you mean "timeout"?)' in told.err[0]
    assert not list(tmp_path.iterdir())


def test_a_game_is_added_with_labels(command_line: CommandLine) -> None:
    added = ("runtimes", "add", "game-7", "http://h:1", "--label", "team=eu", "--label", "region=eu-1")
    assert command_line(*added).code == 0
    assert listed(command_line)[0]["labels"] == {"region": "eu-1", "team": "eu"}


@pytest.mark.parametrize(
    ("label", "reason"),
    [("team", "write NAME=VALUE"), ("te-am=eu", "is no name of a label"), ("team=a\nb", "has a line break")],
)
def test_a_label_that_may_not_be_is_refused(command_line: CommandLine, label: str, reason: str) -> None:
    told = command_line("runtimes", "add", "game-7", "http://h:1", "--label", label)
    assert told.code == 2
    assert reason in "".join(told.err)
