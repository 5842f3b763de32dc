"""The settings file of docs/options.md is valid, and its commands do what the page says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from tests.support.program import CommandLine
from typer.main import get_command

from healthprobe.app.settings_file.options import file_options
from healthprobe.app.settings_file.reading import read_settings_file
from healthprobe.cli.main import application

PAGE = (Path(__file__).parents[2] / "docs" / "options.md").read_text()
SECTION = PAGE.partition("## A settings file")[2].partition("\n## ")[0]
RUN: Any = get_command(application(["run"])).commands["run"]  # type: ignore[attr-defined]  # a group's


def test_the_file_on_the_page_is_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [text] = re.findall(r"```toml\n(.*?)```", SECTION, re.DOTALL)
    for name in re.findall(r"env:([A-Z_]+)", text):
        monkeypatch.setenv(name, "x")
    (tmp_path / "healthprobe_token").write_text("word\n")
    path = tmp_path / "healthprobe.toml"
    path.write_text(text.replace("/run/secrets", str(tmp_path)))
    file = read_settings_file(str(path), file_options(RUN))
    assert (file.token, file.webhook_secret, file.probe.path) == ("word", "x", "/ready")
    assert [(route.url, dict(route.match)) for route in file.alerts] == [
        ("alertmanager+http://alertmanager:9093", {}),
        ("x", {"team": "eu"}),
    ]


def test_the_commands_on_the_page_write_a_file_that_a_run_takes(command_line: CommandLine, tmp_path: Path) -> None:
    make, use = re.findall(r"^    healthprobe (.*)$", SECTION, re.MULTILINE)
    words, _, name = make.partition(" > ")
    (tmp_path / name).write_text("\n".join(command_line(*words.split()).out))
    command, *options = use.split()
    assert command == "run"
    RUN.make_context("run", options)


def test_the_mistake_on_the_page_is_what_is_said_of_it(command_line: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "healthprobe.toml").write_text('interval = "10s"\nintervall = "5s"\n')
    [message] = command_line("run", "--config", "healthprobe.toml").err
    assert message.removeprefix("healthprobe: ") in " ".join(SECTION.split())
