"""The composition: each database is opened once, and the limit of open files limits the lanes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import structlog
from structlog.testing import LogCapture
from tests.support.program import CommandLine, clean_environment

from healthprobe._util.duration import Duration
from healthprobe.app.compose import composed
from healthprobe.app.settings import Settings
from healthprobe.app.urls import Adapters
from healthprobe.ports import ConfigurationError
from healthprobe.status.counters import Counters


async def test_records_and_log_in_one_file_share_one_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    async with Adapters() as adapters:
        await adapters.records("sqlite:games.db")
        first = await adapters.database("sqlite:games.db")
        await adapters.log(f"sqlite:{tmp_path}/../{tmp_path.name}/games.db")
        assert await adapters.database(f"sqlite:{tmp_path / 'games.db'}") is first
        assert await adapters.database("sqlite:other.db") is not first


async def test_one_postgresql_database_is_opened_once_however_its_url_is_written(
    postgres_url: str,
) -> None:
    location = postgres_url.partition("://")[2]
    async with Adapters() as adapters:
        await adapters.records(f"postgres://{location}")
        await adapters.log(f"postgresql+psycopg://{location}")
        assert await adapters.database(f"postgres://{location}") is await adapters.database(postgres_url)


async def test_a_message_offers_each_kind_of_database_once() -> None:
    with pytest.raises(ConfigurationError, match=r"use sqlite: or postgresql: or nats: or tls:\Z"):
        await Adapters().log("mysql://user:secret@127.0.0.1/games")


WITHOUT = "import sys; sys.modules[sys.argv.pop(1)] = None; from healthprobe.cli.main import main; main()"
"""The program on a machine where the library that is its first argument is not installed."""


@pytest.mark.parametrize(
    ("library", "extra", "arguments"),
    [
        ("psycopg", "postgres", ("run", "--log", "postgresql://user:secret@127.0.0.1:1/games")),
        ("redis", "redis", ("run", "--publish", "redis://:secret@127.0.0.1:1/0")),
        ("aiohttp", "http", ("run", "--publish", "https://user:secret@127.0.0.1:1/")),
        ("aiohttp", "http", ("run", "--records", "http://127.0.0.1:1/games?token=secret")),
        ("apprise", "notify", ("run", "--notify", "slack://secret/secret/secret")),
        ("nats", "nats", ("run", "--records", "nats://user:secret@127.0.0.1:1/GAMES")),
        ("nats", "nats", ("run", "--log", "tls://user:secret@127.0.0.1:1")),
    ],
)
def test_a_missing_library_is_named_with_the_command_that_installs_it(
    tmp_path: Path, library: str, extra: str, arguments: Sequence[str]
) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", WITHOUT, library, *arguments],
        cwd=tmp_path,
        env=clean_environment({}),
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    [told] = ended.stderr.splitlines()
    assert told.startswith("healthprobe: ")
    assert told.endswith(f"not installed: pip install 'healthprobe[{extra}]'")
    assert "secret" not in told


def test_two_publish_urls_with_the_same_relay_are_refused(command_line: CommandLine) -> None:
    bus = "redis://:secret@127.0.0.1:1/0?stream=health"
    told = command_line("run", "--publish", bus, "--publish", f"{bus}&maxlen=7")
    assert (told.code, told.out, len(told.err)) == (2, [], 1)
    assert "--publish redis://127.0.0.1:1?stream=health is the name of two URLs" in told.err[0]


@pytest.mark.parametrize(("wanted", "warnings"), [(10**9, 1), (4, 0), (None, 0)])
async def test_more_lanes_than_open_files_are_reduced_with_a_warning(
    tmp_path: Path, wanted: int | None, warnings: int
) -> None:
    written = LogCapture()
    logger: Any = structlog.wrap_logger(structlog.PrintLogger(), processors=[written])
    database = f"sqlite:{tmp_path / 'games.db'}"
    settings = Settings(records=database, log=database, max_concurrency=wanted)
    async with composed(settings, counters=Counters(), logger=logger):
        assert [line["wanted"] for line in written.entries] == [wanted] * warnings


@pytest.mark.parametrize(
    ("wrong", "advice"),
    [
        ({"timeout": Duration(5)}, "--timeout 5s is not shorter than --interval 5s"),
        ({"failures": 0}, "--failures 0 is below 1"),
        ({"max_concurrency": 0}, "--max-concurrency 0 is below 1"),
    ],
)
def test_contradicting_settings_are_refused(wrong: dict[str, Any], advice: str) -> None:
    with pytest.raises(ConfigurationError, match=advice):
        Settings(**wrong)
