"""`--help` is fast, shows ten options first, and shells complete commands and options."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.support.live_engine import LiveEngine
from tests.support.program import CommandLine
from typer.main import get_command

from healthprobe.cli.main import COMMANDS, application

IMPORTED = """
import sys
from healthprobe.cli.main import exit_code_of
exit_code_of(sys.argv[1:])
sys.stderr.write(" ".join(sorted(sys.modules)))
"""
SLOW = {
    "aiodns", "asyncio", "httptools", "msgspec", "multiprocessing", "nats", "opentelemetry", "prometheus_client",
    "sqlalchemy", "ssl", "starlette", "structlog", "uvicorn", "uvloop", "yaml",
}  # fmt: skip


def imported_by(*arguments: str) -> set[str]:
    run = subprocess.run(
        [sys.executable, "-c", IMPORTED, *arguments], capture_output=True, text=True, check=True, timeout=60
    )
    return set(run.stderr.split())


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("no-such-command",)])
def test_the_list_of_commands_imports_no_command(arguments: tuple[str, ...]) -> None:
    imported = imported_by(*arguments)
    assert not imported & SLOW
    assert {name for name in imported if name.startswith("healthprobe.cli.")} == {
        "healthprobe.cli.errors",
        "healthprobe.cli.main",
    }


def test_the_help_of_run_imports_nothing_that_a_run_needs() -> None:
    imported = imported_by("run", "--help")
    assert not imported & SLOW
    assert "healthprobe.cli.check" not in imported


NOT_FOR_A_CHECK = {
    "apprise", "asyncpg", "markdown_it", "nats", "opentelemetry", "prometheus_client", "psycopg", "pygments", "redis",
    "rich", "sqlalchemy", "starlette", "structlog", "uvicorn", "yaml",
}  # fmt: skip
NOT_FOR_A_RUN = NOT_FOR_A_CHECK - {"sqlalchemy", "structlog", "yaml"}
"""What a run does not import that writes JSON, listens nowhere, reads a file and has its log in SQLite."""

OF_A_RUN = tuple(f"healthprobe.{room}" for room in ("adapters", "alarms", "status", "telemetry", "worker"))


def test_a_check_that_writes_json_imports_nothing_for_a_terminal_and_nothing_of_a_run(engine: LiveEngine) -> None:
    imported = imported_by("check", engine.endpoint)
    assert not imported & NOT_FOR_A_CHECK
    assert not {name for name in imported if name.startswith(OF_A_RUN)}


def test_a_run_that_writes_json_imports_no_library_that_it_does_not_use(tmp_path: Path) -> None:
    records = tmp_path / "engines.json"
    record = {"game_id": "a", "current_container_id": "c", "engine_endpoint": "http://127.0.0.1:1", "status": "running"}
    records.write_text(json.dumps([record]))
    options = ("--interval=150ms", "--timeout=100ms", "--failures=1", f"--log=sqlite:{tmp_path / 'log.db'}")
    command = [sys.executable, "-c", IMPORTED, "run", f"--records=file:{records}", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout is not None
            assert json.loads(running.stdout.readline())["event_type"] == "probe_failed"
            running.terminate()
            _, err = running.communicate(timeout=60)
        finally:
            running.kill()
    imported = set(err.splitlines()[-1].split())
    assert "structlog" in imported
    assert not imported & NOT_FOR_A_RUN


def panels_of(command: str) -> dict[str | None, list[str]]:
    found: dict[str | None, list[str]] = {}
    commands: dict[str, Any] = get_command(application([command])).commands  # type: ignore[attr-defined]  # a group's
    for option in commands[command].params:
        found.setdefault(option.rich_help_panel, []).append(option.opts[0])
    return found


def test_run_shows_eleven_options_first_and_the_others_as_advanced() -> None:
    panels = panels_of("run")
    assert panels.keys() == {None, "Advanced"}
    assert len(panels[None]) == 11


@pytest.mark.parametrize(
    "action", [("run", "--check"), ("events", "--replay-dead"), ("relays", "--forget"), ("silence", "--end")]
)
def test_an_action_that_is_done_once_has_no_environment_variable(action: tuple[str, str]) -> None:
    command, option = action
    commands: dict[str, Any] = get_command(application([command])).commands  # type: ignore[attr-defined]  # a group's
    [found] = [each for each in commands[command].params if each.opts[0] == option]
    assert found.envvar is None


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_listed_with_the_same_text_whether_it_is_imported_or_not(name: str) -> None:
    listed: Any = get_command(application([])).commands[name]  # type: ignore[attr-defined]  # a group's
    imported: Any = get_command(application([name])).commands[name]  # type: ignore[attr-defined]
    assert listed.get_short_help_str(200) == imported.get_short_help_str(200) == COMMANDS[name].help
    assert listed.rich_help_panel == imported.rich_help_panel


def completed(*words: str) -> list[str]:
    """Returns what bash offers for the last of the words."""
    environment = {
        **os.environ,
        "_HEALTHPROBE_COMPLETE": "complete_bash",
        "COMP_WORDS": " ".join(("healthprobe", *words)),
        "COMP_CWORD": str(len(words)),
    }
    program = [sys.executable, "-m", "healthprobe"]
    run = subprocess.run(program, capture_output=True, text=True, check=True, env=environment, timeout=60)
    return run.stdout.split()


def test_a_shell_completes_commands_options_and_choices() -> None:
    assert completed("in") == ["incidents"]
    assert completed("run", "--int") == ["--interval"]
    assert completed("runtimes", "i") == ["import"]
    assert completed("run", "--connections", "f") == ["fresh"]


def test_the_completion_script_is_shown_and_installed(tmp_path: Path) -> None:
    program = [sys.executable, "-m", "healthprobe"]
    environment = {**os.environ, "HOME": str(tmp_path), "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    shown = subprocess.run(
        [*program, "--show-completion", "bash"], capture_output=True, text=True, check=True, env=environment, timeout=60
    )
    assert "_HEALTHPROBE_COMPLETE=complete_bash" in shown.stdout
    subprocess.run([*program, "--install-completion", "bash"], check=True, env=environment, timeout=60)
    assert "healthprobe" in (tmp_path / ".bashrc").read_text()


def test_help_is_plain_sentences(command_line: CommandLine) -> None:
    for name in COMMANDS:
        words = " ".join(command_line(name, "--help").out).split()
        assert not {"whom", "whoever", "nobody", "tells", "told"} & set(words), name
