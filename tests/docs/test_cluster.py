"""The files, commands, options, variables and defaults that docs/cluster.md names exist."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tests.deploy.shipped import CONFIGURATION
from typer.main import get_command

from healthprobe.app.settings import DEFAULT_LEASE
from healthprobe.cli.main import application
from healthprobe.domain.shard import SHARDS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "cluster.md").read_text()
COMMANDS: dict[str, Any] = get_command(application()).commands  # type: ignore[attr-defined]  # a group's, which Typer does not say


def parameters() -> list[Any]:
    commands = [*COMMANDS.values(), *COMMANDS["runtimes"].commands.values()]
    return [parameter for command in commands for parameter in command.params]


def test_every_file_that_the_page_names_exists() -> None:
    named = set(re.findall(r"(?<![\w/.@:])((?:deploy|tests|benchmarks)/[\w./@-]+\w)", PAGE))
    named |= {f"docs/{link}" for link in re.findall(r"\]\(([^)]+)\)", PAGE)}
    assert len(named) > 8
    for name in named:
        assert (ROOT / name).exists(), name


def test_every_command_option_and_variable_that_the_page_names_exists() -> None:
    commands = set(re.findall(r"(?:`|^ +)healthprobe ([a-z]+)", PAGE, re.MULTILINE))
    assert {"run", "cluster", "runtimes", "events"} <= commands <= set(COMMANDS)
    options = set(re.findall(r"`(--[a-z]+)|healthprobe \w+ (?:\w+ )*(--[a-z]+)", PAGE))
    assert {name for pair in options for name in pair if name} <= {name for each in parameters() for name in each.opts}
    variables = {each.envvar for each in parameters() if isinstance(each.envvar, str)}
    assert set(re.findall(r"HEALTHPROBE_[A-Z]+", PAGE)) <= variables


def test_the_defaults_on_the_page_are_true() -> None:
    assert f"over {SHARDS} shards" in PAGE
    assert f"(`--lease`, {DEFAULT_LEASE})" in PAGE
    assert "`max_file_store` is 10 GB" in PAGE
    assert "max_file_store: 10GB" in CONFIGURATION.read_text()


def test_the_page_and_the_manifests_create_the_secret_in_the_same_way() -> None:
    made = re.compile(r"--from-literal=\w+=[^ \n]+(?: -\w+ \w+\))?")
    kustomization = (ROOT / "deploy" / "kubernetes" / "kustomization.yaml").read_text()
    assert made.findall(PAGE) == made.findall(kustomization)
