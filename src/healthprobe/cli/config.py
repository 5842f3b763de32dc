"""`healthprobe config`: a sample of the settings file, and its schema for editors."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from textwrap import fill
from typing import Annotated, Any

import typer

from healthprobe.app.settings_file.options import file_options
from healthprobe.app.settings_file.reading import OF_THE_RUN, FileOption, read_settings_file
from healthprobe.domain.alarms.alert import SEVERITIES
from healthprobe.domain.probe.probe_settings import ProbeKind
from healthprobe.ports import ConfigurationError

_WIDTH = 100

_HEAD = """\
# Settings of healthprobe run, in TOML. Use them with: healthprobe run --config healthprobe.toml
# Check them, without starting anything: healthprobe run --config healthprobe.toml --check
#
# Each option of run has the same name here. What has a # before it is not set. The command line wins over environment
# variables, these over this file. A text env:NAME is taken from an environment variable, and file:PATH from a file (not
# for records and publish, where file: is an address). No other file is read.
"""

_REST = """\
# The token that a reader of the page and the API must send, if --listen can be reached from other machines.
#token = "env:PAGE_TOKEN"

# The secret that signs webhooks.
#webhook-secret = "file:/etc/healthprobe/webhook.secret"

# How games are probed whose records say nothing else: docs/records.md has every setting.
#[probe]
#path = "/ready"
#expect = { status = "200-299" }
#headers = { X-Probe = "yes", Authorization = "env:PROBE_AUTHORIZATION" }

# Where alerts go, with the labels that they must have. Those that match no route go to the routes without match.
#[[alerts]]
#to = "alertmanager+http://127.0.0.1:9093"

#[[alerts]]
#to = "env:PAGERDUTY_URL"
#match = { team = "eu" }
#severity = "critical"
"""


def sample(options: Mapping[str, FileOption]) -> str:
    """Returns a settings file with every option in it, none of them set."""
    return "\n".join([_HEAD, *_described(options), _REST])


def _described(options: Mapping[str, FileOption]) -> Iterator[str]:
    for key, option in options.items():
        default = f" Default: {option.default}." if option.default else ""
        text = fill(option.help + default, _WIDTH, initial_indent="# ", subsequent_indent="# ", break_long_words=False)
        yield f"{text}\n#{key} = {option.example}\n"


def schema(options: Mapping[str, FileOption]) -> dict[str, Any]:
    """Returns the JSON Schema of the settings file."""
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "healthprobe.toml",
        "description": "The settings of healthprobe run.",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            **{key: _schema_of(option) for key, option in options.items()},
            "token": {**_SECRET, "description": "The token that a reader of the page and the API must send."},
            "webhook-secret": {**_SECRET, "description": "The secret that signs webhooks."},
            "probe": _PROBE,
            "alerts": {"type": "array", "description": "Where alerts go.", "items": _ALERT},
        },
    }


def _schema_of(option: FileOption) -> dict[str, Any]:
    described: dict[str, Any] = {"description": option.help + (f" Default: {option.default}." * bool(option.default))}
    if option.is_flag:
        return {**described, "type": "boolean"}
    if option.choices:
        return {**described, "enum": list(option.choices)}
    if option.is_list:
        return {**described, "anyOf": [_TEXT, {"type": "array", "items": _TEXT}]}
    if option.takes_number:
        number = {"type": "integer", "minimum": 1}
        return {**described, **number} if not option.takes_text else {**described, "anyOf": [number, _TEXT]}
    return {**described, **_TEXT}


_TEXT: Mapping[str, Any] = {"type": "string", "minLength": 1}
_COUNT: Mapping[str, Any] = {"type": "integer", "minimum": 1, "maximum": 1000}
_SECRET: Mapping[str, Any] = {"type": "string", "pattern": "^(env|file):."}
_TEXTS: Mapping[str, Any] = {"type": "object", "additionalProperties": {"type": "string"}}
_STATUS: Mapping[str, Any] = {
    "anyOf": [
        {"type": "integer", "minimum": 100, "maximum": 599},
        {"type": "string", "pattern": "^[1-5][0-9]{2}(-[1-5][0-9]{2})?$"},
    ]
}


def _table(description: str, **properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "description": description,
        "additionalProperties": False,
        "properties": properties,
    }


_PROBE = _table(
    f"How games are probed whose records say nothing else. {', '.join(OF_THE_RUN)} are options of the run.",
    kind={"enum": [kind.value for kind in ProbeKind]},
    path={"type": "string", "pattern": "^/"},
    port={"type": "integer", "minimum": 1, "maximum": 65535},
    host=_TEXT,
    method={"enum": ["GET", "HEAD"]},
    headers=_TEXTS,
    expect=_table(
        "What a healthy answer looks like.",
        status={"anyOf": [*_STATUS["anyOf"], {"type": "array", "minItems": 1, "items": _STATUS}]},
        body_contains=_TEXT,
        json_path=_TEXT,
        equals={"type": ["string", "number", "boolean"]},
    ),
    every=_COUNT,
    tls=_table(
        "The authorities to trust, and the certificate to present.",
        ca={"type": "string", "pattern": "^/"},
        server_name=_TEXT,
        verify={"type": "boolean"},
        certificate={"type": "string", "pattern": "^/"},
        key={"type": "string", "pattern": "^/"},
    ),
    send={"type": "string"},
    service={"type": "string"},
)

_ALERT = {
    **_table(
        "A route of alerts.",
        to=_TEXT,
        match={**_TEXTS, "propertyNames": {"pattern": "^[a-zA-Z_][a-zA-Z0-9_]*$"}},
        severity={"enum": list(SEVERITIES)},
    ),
    "required": ["to"],
}


def options_of_run() -> dict[str, FileOption]:
    """Returns the options that a settings file may have, by key."""
    from typer.main import get_command

    from healthprobe.cli.run import run

    app = typer.Typer(add_completion=False)
    app.command("run")(run)
    return file_options(get_command(app))


READERS = ("events", "incidents", "relays", "report", "silence", "runtimes")
"""Commands that read or edit what a run reads and writes. They find it by the settings file of that run."""


def defaults_of(command: str, path: str) -> dict[str, Any]:
    """Returns the defaults of one of READERS from the settings file at `path`, in the form of a `default_map`.

    Raises ConfigurationError.
    """
    values = read_settings_file(path, options_of_run()).values
    places = {option: values.get(option) or values.get("cluster") for option in ("log", "records")}
    found: dict[str, Any] = {option: place for option, place in places.items() if place is not None}
    return {command: {**found, **dict.fromkeys(("add", "remove", "list", "import"), found)}}


def config(
    example: Annotated[
        bool, typer.Option("--example", help="Write a settings file with every option in it, each explained.")
    ] = False,
    as_schema: Annotated[
        bool, typer.Option("--schema", help="Write the JSON Schema of the settings file, for editors.")
    ] = False,
) -> None:
    """Write a sample of the settings file of healthprobe run, or its schema.

    The sample is valid as it is and sets nothing: remove the # before what is
    not to have its default.

    Example: [b]healthprobe config --example > healthprobe.toml[/b]
    """
    if example == as_schema:
        raise ConfigurationError("write --example for a sample of the settings file, or --schema for its schema")
    options = options_of_run()
    if example:
        sys.stdout.write(sample(options))
    else:
        sys.stdout.write(json.dumps(schema(options), indent=2, ensure_ascii=False) + "\n")
