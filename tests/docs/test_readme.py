"""README and `--help` hold each other: neither names a command, option, default or variable that the other does not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from healthprobe.adapters.file import parse_records
from healthprobe.cli.main import app

README = (Path(__file__).parents[2] / "README.md").read_text()
OPTIONS = (Path(__file__).parents[2] / "docs" / "options.md").read_text()
COMMANDS: dict[str, Any] = get_command(app).commands  # type: ignore[attr-defined]  # a group's, which Typer does not say


def options_of(command: Any) -> dict[str, Any]:
    return {parameter.opts[0]: parameter for parameter in command.params if parameter.opts[0].startswith("--")}


def row_of(option: str) -> list[str]:
    """The cells of the option's row in the table of the options of `run`."""
    [row] = [line for line in OPTIONS.splitlines() if re.match(rf"\| `{option}[ `]", line)]
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]]


def test_every_command_is_in_the_readme_and_every_command_there_exists() -> None:
    assert set(re.findall(r"`healthprobe (\w+)", README)) == set(COMMANDS)
    [edits] = re.findall(r"`healthprobe runtimes ([\w\\|]+)`", README)
    assert edits.split(r"\|") == list(COMMANDS["runtimes"].commands)


def test_every_option_of_run_has_its_row_and_every_row_its_option() -> None:
    table = OPTIONS.partition("| option of `run` |")[2].partition("\n\n")[0]
    assert re.findall(r"^\| `(--[\w-]+)", table, re.MULTILINE) == list(options_of(COMMANDS["run"]))


@pytest.mark.parametrize("name", options_of(COMMANDS["run"]))
def test_a_row_tells_the_options_default_and_its_variables(name: str) -> None:
    option = options_of(COMMANDS["run"])[name]
    signature, default, variables = row_of(name)
    placeholder = signature.strip("`").removeprefix(name).strip().replace("\\", "")
    assert placeholder in {option.metavar, "reuse|fresh", "LEVEL", ""}
    shown = option.show_default if isinstance(option.show_default, str) else option.default
    assert default.strip("`") == ("" if shown in {False, None} else str(shown).partition(";")[0])
    named = [option.envvar] if isinstance(option.envvar, str) else list(option.envvar)
    assert variables == ", ".join(f"`{variable}`" for variable in named)


def test_no_option_is_named_that_does_not_exist() -> None:
    groups = [*COMMANDS.values(), *COMMANDS["runtimes"].commands.values()]
    known = {name for command in groups for name in options_of(command)} | {"--help", "--version"}
    assert set(re.findall(r"(?<![\w-])--[a-z][\w-]*", README)) <= known


def test_the_engines_file_of_the_readme_can_be_watched() -> None:
    [text] = re.findall(r"cat > engines\.yaml <<'END'\n(.*?)\n +END", README, re.DOTALL)
    [record] = parse_records(re.sub("^    ", "", text, flags=re.MULTILINE), "engines.yaml")
    assert (record.game_id, record.engine_endpoint, record.status) == ("game-7", "http://127.0.0.1:8080", "running")


def test_the_readme_is_short_enough_to_be_read() -> None:
    assert len(README.splitlines()) < 200
