"""The settings file and the command line: the values of the file are the defaults of options."""

from __future__ import annotations

import json
import os
import re
from typing import Any

import typer

from healthprobe.app.settings_file.reading import FileOption, SettingsFile, read_settings_file
from healthprobe.http_client.secret import Secret

VARIABLE = "HEALTHPROBE_CONFIG"

NO_FILE = SettingsFile("")

NOT_IN_THE_FILE = ("--config", "--check", "--help")
"""Options that say what to do now."""

_NUMBERS = ("N", "N|auto")

_EXAMPLES = {
    "records": "file:engines.yaml",
    "log": "sqlite:healthprobe.db",
    "publish": "redis://bus:6379/0?stream=health",
    "notify": "env:SLACK_URL",
    "cluster": "env:NATS_URL",
    "records-query": "SELECT id AS game_id, container AS current_container_id, url AS engine_endpoint FROM games",
    "confirm": "250ms",
    "listen": "127.0.0.1:8600",
    "retain": "90d",
    "source": "/healthprobe/staging",
    "grace": "30s",
    "flap": "6/1h",
    "hold": "50%",
    "canary": "https://gateway/status",
    "identity-header": "X-Game-ID",
    "allow-network": "10.0.0.0/8",
    "deny-network": "169.254.0.0/16",
    "lease": "5s",
    "shard": "2/5",
    "otlp": "http://127.0.0.1:4318",
    "log-level": "info",
    "max-concurrency": "auto",
    "alert": "alertmanager+http://127.0.0.1:9093",
    "alert-group": "host",
    "page-url": "https://ops.example/health",
    "metric-label": "region",
    "heartbeat": "env:HEARTBEAT_URL",
}
"""A value of each option whose default is none."""

_BY_METAVAR = {"DURATION": "10s", "N": "3"}

_MARKUP = re.compile(r"(?<!\\)\[/?b\]")


def read_into(context: typer.Context, path: str | None) -> str | None:
    """Reads the settings file at `path`, so that options take their values from it where nothing else sets them.

    The file is then the context's object. Raises ConfigurationError.
    """
    if path is not None and not context.resilient_parsing:
        file = read_settings_file(path, file_options(context.command))
        context.default_map = {**file.values}
        context.obj = file
    return path


def file_options(command: Any) -> dict[str, FileOption]:
    """Returns the options of a command that its settings file may have, by key, in their order."""
    listed = [each for each in command.params if each.opts[0].startswith("--") and each.opts[0] not in NOT_IN_THE_FILE]
    return {option.opts[0].removeprefix("--"): _file_option(option) for option in listed}


def _file_option(option: Any) -> FileOption:
    key = option.opts[0].removeprefix("--")
    default = option.show_default if isinstance(option.show_default, str) else option.default
    example = _EXAMPLES.get(key) or option.default or _BY_METAVAR.get(option.metavar or "", "TEXT")
    written = json.dumps(example if type(example) is int or option.is_flag else str(example), ensure_ascii=False)
    return FileOption(
        option.name,
        _MARKUP.sub("", option.help).replace("\\[", "["),
        "true" if option.is_flag else f"[{written}]" if option.multiple else written,
        default="" if default in {None, False} else str(default),
        choices=tuple(option.type_descriptor.choices or ()),
        is_list=option.multiple,
        is_flag=option.is_flag,
        takes_number=option.metavar in _NUMBERS,
        takes_text=option.metavar != "N",
    )


def secret_of(variable: str, in_file: str | None = None) -> tuple[str | None, str]:
    """Returns the secret in an environment variable, which may say where it is, or else the one of the settings file.

    The other text is a warning if others can read it too. Raises ConfigurationError.
    """
    value = os.environ.get(variable, "")
    if not value.startswith(("env:", "file:")):
        return value or in_file or None, ""
    secret = Secret.at(value, variable)
    exposure = secret.exposure()
    return secret.read(), f"{variable}: {exposure}" if exposure else ""
