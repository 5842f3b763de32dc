"""`healthprobe config`: a sample that is valid, and a schema that says the same as the program."""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from tests.support.program import CommandLine
from typer.main import get_command

from healthprobe.app.settings_file.options import NOT_IN_THE_FILE, file_options
from healthprobe.app.settings_file.reading import ALERT_KEYS, OF_THE_RUN, read_settings_file
from healthprobe.cli.main import application
from healthprobe.domain.probe.probe_parsing import settings_from
from healthprobe.domain.probe.probe_settings import ProbeSettings

RUN: Any = get_command(application(["run"])).commands["run"]  # type: ignore[attr-defined]  # a group's
OPTIONS = file_options(RUN)
BAD = Path(__file__).parent / "bad"

NOT_IN_A_SCHEMA = {
    "choice", "duration_without_unit", "number_is_text", "first_of_two", "key_twice", "secret_file_empty",
    "secret_file_missing", "secret_file_of_two_lines", "secret_not_set", "probe_contradiction", "probe_header_secret",
    "alert_match_newline",
}  # fmt: skip
"""Bad files that a schema cannot tell from good ones, or that are bad for another reason too."""


@pytest.fixture
def sample(command_line: CommandLine) -> str:
    return "\n".join(command_line("config", "--example").out) + "\n"


@pytest.fixture
def schema(command_line: CommandLine) -> dict[str, Any]:
    document: dict[str, Any] = json.loads("\n".join(command_line("config", "--schema").out))
    return document


def with_everything(sample: str) -> str:
    return re.sub(r"^#(?=[a-z\[])", "", sample, flags=re.MULTILINE)


def test_the_sample_is_valid_and_sets_nothing(sample: str) -> None:
    assert tomllib.loads(sample) == {}


def test_the_sample_has_every_option_and_each_is_valid(
    sample: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = with_everything(sample)
    keys = list(tomllib.loads(text))
    assert keys == [*OPTIONS, "token", "webhook-secret", "probe", "alerts"]
    for name in re.findall(r"env:([A-Z_]+)", text):
        monkeypatch.setenv(name, "slack://a/b/c")
    (tmp_path / "webhook.secret").write_text("whsec_x")
    path = tmp_path / "healthprobe.toml"
    path.write_text(text.replace("/etc/healthprobe", str(tmp_path)))
    file = read_settings_file(str(path), OPTIONS)
    assert file.probe.path == "/ready"
    assert len(file.alerts) == 2
    context = RUN.make_context("run", ["--config", str(path)])  # every value is parsed
    assert {name for name in file.values if context.get_parameter_source(name).name != "DEFAULT_MAP"} == set()


def test_the_sample_fits_the_schema(sample: str, schema: dict[str, Any]) -> None:
    jsonschema.Draft7Validator.check_schema(schema)
    jsonschema.validate(tomllib.loads(sample), schema)
    jsonschema.validate(tomllib.loads(with_everything(sample)), schema)


def test_the_schema_has_what_the_program_has_and_no_more(schema: dict[str, Any]) -> None:
    known = schema["properties"]
    named = [each.opts[0].removeprefix("--") for each in RUN.params if each.opts[0] not in NOT_IN_THE_FILE]
    assert list(known) == [*named, "token", "webhook-secret", "probe", "alerts"]
    settings = {each.name for each in fields(ProbeSettings)} - set(OF_THE_RUN)
    assert set(known["probe"]["properties"]) == settings
    assert set(known["alerts"]["items"]["properties"]) == set(ALERT_KEYS)
    assert {key for key, each in known.items() if each.get("type") == "boolean"} == {
        key for key, option in OPTIONS.items() if option.is_flag
    }
    assert known["connections"]["enum"] == ["reuse", "fresh"]
    assert known["log-level"]["enum"] == ["debug", "info", "warning", "error"]


@pytest.mark.parametrize(
    "probe",
    [
        {"kind": "tcp", "send": "PING", "expect": {"body_contains": "PONG"}},
        {"path": "/ready", "expect": {"status": [200, "202-204"]}, "every": 3, "port": 1},
        {"expect": {"json_path": "a.b[0]", "equals": True}, "headers": {"X": "y"}},
        {"kind": "grpc", "service": "x.Y", "tls": {"ca": "/ca.pem", "verify": True, "server_name": "x"}},
        {"host": "chess.example", "method": "HEAD"},
    ],
)
def test_what_the_program_takes_the_schema_takes(schema: dict[str, Any], probe: dict[str, Any]) -> None:
    settings_from(probe)
    jsonschema.validate({"probe": probe}, schema)


def bad_documents() -> list[Any]:
    found = []
    for path in sorted(BAD.glob("*.toml")):
        if path.stem in NOT_IN_A_SCHEMA:
            continue
        try:
            found.append(pytest.param(tomllib.loads(path.read_text()), id=path.stem))
        except ValueError:
            continue
    return found


@pytest.mark.parametrize("document", bad_documents())
def test_what_the_program_refuses_the_schema_refuses(schema: dict[str, Any], document: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, schema)


@pytest.mark.parametrize("arguments", [(), ("--example", "--schema")])
def test_one_of_both_is_asked_for(command_line: CommandLine, arguments: tuple[str, ...]) -> None:
    refused = command_line("config", *arguments)
    assert refused.code == 2
    assert "write --example for a sample" in refused.err[0]
