"""The README, docs/options.md and `--help` agree: the same commands, options, defaults and variables in all of them."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from tests.servers.ports import free_port
from tests.support.live_engine import LiveEngine
from tests.support.program import Program, next_document
from typer.main import get_command

from healthprobe.cli.main import application

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
INTEGRATIONS = (ROOT / "docs" / "integrations.md").read_text()
OPTIONS = (ROOT / "docs" / "options.md").read_text()
COMMANDS: dict[str, Any] = get_command(application()).commands  # type: ignore[attr-defined]  # a group's, which Typer does not say


def options_of(command: Any) -> dict[str, Any]:
    return {parameter.opts[0]: parameter for parameter in command.params if parameter.opts[0].startswith("--")}


def row_of(option: str) -> list[str]:
    """Returns the cells of an option's row in the table of the options of `run`."""
    [row] = [line for line in OPTIONS.splitlines() if re.match(rf"\| `{option}[ `]", line)]
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]]


def command_lines(page: str) -> list[list[str]]:
    """Returns the arguments of every `healthprobe` command in the page's indented blocks."""
    code = "\n".join(line for line in page.splitlines() if line.startswith("    ")).replace("\\\n", " ")
    lines = re.findall(r"^ +(?:\.venv/bin/)?healthprobe (.*)$", code, re.MULTILINE)
    return [shlex.split(line, comments=True) for line in lines]


def test_every_command_is_in_the_readme_and_every_command_there_exists() -> None:
    assert set(re.findall(r"`healthprobe (\w+)", README)) == set(COMMANDS)
    [edits] = re.findall(r"`healthprobe runtimes ([\w\\|]+)`", README)
    assert edits.split(r"\|") == list(COMMANDS["runtimes"].commands)


def test_every_option_of_run_has_its_row_and_every_row_its_option() -> None:
    table = OPTIONS.partition("| option of `run` |")[2].partition("\n\n")[0]
    assert re.findall(r"^\| `(--[\w-]+)", table, re.MULTILINE) == list(options_of(COMMANDS["run"]))


@pytest.mark.parametrize("name", options_of(COMMANDS["run"]))
def test_a_row_has_the_default_and_the_variables_of_its_option(name: str) -> None:
    option = options_of(COMMANDS["run"])[name]
    signature, default, variables = row_of(name)
    placeholder = signature.strip("`").removeprefix(name).strip().replace("\\", "")
    assert placeholder in {option.metavar, "reuse|fresh", "LEVEL", ""}
    shown = option.show_default if isinstance(option.show_default, str) else option.default
    assert default.strip("`") == ("" if shown in {False, None} else str(shown).partition(";")[0])
    named = [option.envvar] if isinstance(option.envvar, str) else list(option.envvar or ())
    assert variables == ", ".join(f"`{variable}`" for variable in named)


@pytest.mark.parametrize("page", [README, INTEGRATIONS], ids=["README.md", "integrations.md"])
def test_every_option_that_is_named_exists(page: str) -> None:
    groups = [*COMMANDS.values(), *COMMANDS["runtimes"].commands.values()]
    known = {name for command in groups for name in options_of(command)} | {"--help", "--version"}
    assert set(re.findall(r"(?<![\w-])--[a-z][\w-]*", page)) <= known


@pytest.mark.parametrize("arguments", command_lines(README) + command_lines(INTEGRATIONS), ids=lambda words: words[0])
def test_every_command_line_is_accepted(arguments: list[str]) -> None:
    command, *options = arguments
    COMMANDS[command].make_context(command, options)


def test_the_readme_shows_how_to_check_and_run() -> None:
    assert [arguments[0] for arguments in command_lines(README)] == ["check", "run"]


def test_the_commands_of_the_readme_watch_an_engine(program: Program) -> None:
    [text] = re.findall(r"cat > engines\.yaml <<'END'\n(.*?)\n +END", README, re.DOTALL)
    with LiveEngine() as engine:
        places = {"http://127.0.0.1:8080": engine.endpoint, "127.0.0.1:8600": f"127.0.0.1:{free_port()}"}
        check, run = ([replaced(word, places) for word in arguments] for arguments in command_lines(README))
        file = replaced(re.sub("^    ", "", text, flags=re.MULTILINE), places)
        (program.folder / "engines.yaml").write_text(file)
        assert program(*check).returncode == 0
        running = program.start(*run, HEALTHPROBE_INTERVAL="200ms", HEALTHPROBE_TIMEOUT="100ms")
        engine.wait_for_probes(1)
        engine.become(503)
        event = next_document(running)
    assert (event["id"], event["container_id"], event["event_type"]) == ("game-7:1", "c0ffee", "probe_failed")


def replaced(text: str, replacements: dict[str, str]) -> str:
    for old, new in replacements.items():
        text = text.replace(old, new)
    return text


def test_the_readme_is_short_enough_to_be_read() -> None:
    assert len(README.splitlines()) < 130
