"""The settings file of a run, `healthprobe.toml`: read once at the start, and refused as a whole with the line."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import date, time
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from healthprobe._util.text import printable, shorten
from healthprobe.app.settings_file.keys import line_of
from healthprobe.domain.alarms.alert import SEVERITIES, AlertRoute
from healthprobe.domain.probe.probe_parsing import InvalidSettings, settings_from
from healthprobe.domain.probe.probe_settings import PLAIN, ProbeSettings
from healthprobe.http_client.secret import Secret
from healthprobe.ports import ConfigurationError

TOKEN_KEY = "token"  # noqa: S105 - the key's name
WEBHOOK_SECRET_KEY = "webhook-secret"  # noqa: S105 - the key's name
PROBE_KEY = "probe"
ALERTS_KEY = "alerts"

OF_THE_RUN = ("timeout", "failures", "successes")
"""Probe settings of a record that are options of the run, and so not in [probe]: an option must win over the file."""

WITH_FILES = ("records", "publish")
"""Options whose URLs begin with file: themselves."""

ALERT_KEYS = ("to", "match", "severity")

_ENV, _FILE = "env:", "file:"
_MOST_BYTES = 256 * 1024
_LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_LONGEST_LABEL = 256
_TOML_PLACE = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")
_QUOTES = ("Invalid value", "Expected newline or end of document after a statement")
_IN_OTHER_WORDS = {
    "Cannot overwrite a value": "this key stands here for the second time",
    "Expected '=' after a key in a key/value pair": "a setting is written KEY = VALUE, and a table [probe]",
    "Illegal character '\\n'": "a text without its closing quote",
    "Unclosed array": "a list without its closing ]",
}
"""What tomllib says, and what it means here."""

_KINDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (str, "text"),
    (bool, "true or false"),
    ((int, float), "a number"),
    (list, "a list"),
    (dict, "a table"),
    ((date, time), "a date or a time"),
)


@dataclass(frozen=True, slots=True)
class FileOption:
    """An option as the settings file knows it.

    `parameter` is the name under which the command takes its value, `example` a value as TOML has it. `default` is in
    words. A number that can also be a word, such as `auto`, has `takes_text`.
    """

    parameter: str
    help: str
    example: str
    default: str = ""
    choices: tuple[str, ...] = ()
    is_list: bool = False
    is_flag: bool = False
    takes_number: bool = False
    takes_text: bool = True


@dataclass(frozen=True, slots=True)
class SettingsFile:
    """A settings file that was read.

    `values` are those of options, by parameter. `probe` is how games are probed whose records say nothing else, and
    `alerts` are the routes of alerts. `warnings` are about files with secrets.
    """

    path: str
    text: str = field(default="", repr=False)
    keys: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict, repr=False)
    probe: ProbeSettings = PLAIN
    alerts: tuple[AlertRoute, ...] = ()
    token: str | None = field(default=None, repr=False)
    webhook_secret: str | None = field(default=None, repr=False)
    warnings: tuple[str, ...] = ()

    def place(self, parameter: str) -> str:
        """Returns the file, the line and the key of an option, for messages."""
        key = self.keys[parameter]
        return f"{self.path}:{line_of(self.text, (key,))}: {key}"

    @property
    def count(self) -> int:
        """How many options and secrets it sets."""
        return len(self.values) + (self.token is not None) + (self.webhook_secret is not None)


def read_settings_file(path: str, options: Mapping[str, FileOption]) -> SettingsFile:
    """Reads the settings file at `path`. `options` are those of the run, by key.

    Raises ConfigurationError with the line, and what to change.
    """
    try:
        with Path(path).open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        advice = "; healthprobe config --example prints one" if isinstance(error, FileNotFoundError) else ""
        raise ConfigurationError(f"--config {path}: {why.lower()}{advice}") from None
    if len(content) > _MOST_BYTES:
        raise ConfigurationError(f"--config {path}: it is longer than {_MOST_BYTES // 1024} KiB: name a settings file")
    try:
        text = content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ConfigurationError(f"{path}:{line}: not UTF-8 text: save it as UTF-8") from None
    return parse_settings_file(text, path, options)


def parse_settings_file(text: str, path: str, options: Mapping[str, FileOption]) -> SettingsFile:
    """Returns the settings in `text`; `path` is for messages. Raises ConfigurationError and nothing else."""
    return _Reader(path, text, options).read()


class _Reader:
    """Reads the text of one settings file."""

    def __init__(self, path: str, text: str, options: Mapping[str, FileOption]) -> None:
        self._path = path
        self._text = text
        self._options = options
        self._warnings: list[str] = []

    def read(self) -> SettingsFile:
        document = self._parsed()
        known = [*self._options, TOKEN_KEY, WEBHOOK_SECRET_KEY, PROBE_KEY, ALERTS_KEY]
        for key, value in document.items():
            if key not in known:
                raise self._error((key,), self._unknown(key, value, known))
        values = {
            option.parameter: self._value(key, option, document[key])
            for key, option in self._options.items()
            if key in document
        }
        return SettingsFile(
            self._path,
            self._text,
            {option.parameter: key for key, option in self._options.items()},
            values,
            self._probe(document.get(PROBE_KEY, {})),
            self._alerts(document.get(ALERTS_KEY, [])),
            self._secret(TOKEN_KEY, document),
            self._secret(WEBHOOK_SECRET_KEY, document),
            tuple(self._warnings),
        )

    def _parsed(self) -> dict[str, Any]:
        try:
            return tomllib.loads(self._text)
        except RecursionError:
            raise ConfigurationError(f"{self._path}: nested too deeply") from None
        except ValueError as error:
            message = str(error)
            place = _TOML_PLACE.search(message)
            line = int(place[1]) if place and place[1] else self._text.rstrip("\n").count("\n") + 1
            cause = _TOML_PLACE.sub("", message)
            advice = '; text stands in quotes, as in interval = "5s"' if cause.startswith(_QUOTES) else ""
            cause = _IN_OTHER_WORDS.get(cause) or printable(f"{cause[:1].lower()}{cause[1:]}", "?") + advice
            raise ConfigurationError(f"{self._path}:{line}: not valid TOML: {cause}") from None

    def _error(self, path: tuple[str | int, ...], message: str) -> ConfigurationError:
        return ConfigurationError(f"{self._path}:{line_of(self._text, path)}: {message}")

    def _unknown(self, key: str, value: object, known: list[str]) -> str:
        inside = list(value) if isinstance(value, dict) else []
        if any(name in known for name in inside):
            return f'unknown table "{_quote(key)}" (options stand at the top, in no table)'
        near = get_close_matches(key, known, n=1)
        advice = f'did you mean "{near[0]}"?' if near else "healthprobe config --example shows all"
        return f'unknown key "{_quote(key)}" ({advice})'

    def _value(self, key: str, option: FileOption, value: object) -> object:
        """Returns the value of an option in the form that the command line gives it."""
        if option.is_flag:
            if not isinstance(value, bool):
                raise self._error((key,), f"{key}: expected true or false, and this is {_kind(value)}")
            return value
        if option.is_list:
            listed = value if isinstance(value, list) else [value]
            return [self._text_of(key, option, each) for each in listed]
        return self._text_of(key, option, value)

    def _text_of(self, key: str, option: FileOption, value: object) -> str:
        if option.takes_number and type(value) is int:
            return str(value)
        if not isinstance(value, str):
            expected = "a whole number" if option.takes_number else "text"
            if option.is_list:
                expected = "a list of texts"
            message = f"{key}: expected {expected}, such as {option.example}, and this is {_kind(value)}"
            raise self._error((key,), message)
        if value.startswith(_ENV) or (value.startswith(_FILE) and key not in WITH_FILES):
            return self._read_secret((key,), key, value)
        return value

    def _secret(self, key: str, document: Mapping[str, Any]) -> str | None:
        if key not in document:
            return None
        value = document[key]
        if not isinstance(value, str):
            raise self._error((key,), f"{key}: expected env:NAME or file:PATH, and this is {_kind(value)}")
        if not value.startswith((_ENV, _FILE)):
            raise self._error(
                (key,), f"{key}: write where the secret is, env:NAME or file:PATH, and not the secret itself"
            )
        return self._read_secret((key,), key, value)

    def _read_secret(self, path: tuple[str | int, ...], key: str, reference: str) -> str:
        secret = Secret.at(reference, f"{self._path}:{line_of(self._text, path)}: {key}")
        value = secret.read()
        if exposure := secret.exposure():
            self._warnings.append(f"{secret.purpose}: {exposure}")
        return value

    def _probe(self, document: object) -> ProbeSettings:
        if not isinstance(document, dict):
            raise self._error((PROBE_KEY,), f"{PROBE_KEY}: expected a table [probe], and this is {_kind(document)}")
        for key in document:
            if key in OF_THE_RUN or (key not in _PROBE_KEYS and key in self._options):
                message = f"{PROBE_KEY}.{key}: it is an option of the run: write it above the first [table]"
                raise self._error((PROBE_KEY, key), message)
        headers = document.get("headers")
        if isinstance(headers, dict):
            document = {**document, "headers": {name: self._header(name, value) for name, value in headers.items()}}
        try:
            return settings_from(document)
        except InvalidSettings as invalid:
            is_of_a_value = bool(invalid.path) and str(invalid).startswith(f"{'.'.join(invalid.path)}: ")
            message = f"{PROBE_KEY}{'.' if is_of_a_value else ': '}{invalid}"
            raise self._error((PROBE_KEY, *invalid.path), message) from None

    def _header(self, name: str, value: object) -> object:
        if isinstance(value, str) and value.startswith((_ENV, _FILE)):
            return self._read_secret((PROBE_KEY, "headers", name), f"{PROBE_KEY}.headers.{_quote(name)}", value)
        return value

    def _alerts(self, tables: object) -> tuple[AlertRoute, ...]:
        if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
            raise self._error((ALERTS_KEY,), f"{ALERTS_KEY}: begin each route with [[alerts]], in two brackets")
        return tuple(self._route(index, table) for index, table in enumerate(tables))

    def _route(self, index: int, table: Mapping[str, Any]) -> AlertRoute:
        for key in table:
            if key not in ALERT_KEYS:
                if key in self._options:
                    message = f"{ALERTS_KEY}.{key}: it is an option of the run: write it above the first [table]"
                    raise self._error((ALERTS_KEY, index, key), message)
                near = get_close_matches(key, ALERT_KEYS, n=1)
                advice = f'did you mean "{near[0]}"?' if near else f"there are {', '.join(ALERT_KEYS)}"
                raise self._error((ALERTS_KEY, index, key), f'unknown key "{ALERTS_KEY}.{_quote(key)}" ({advice})')
        if "to" not in table:
            message = f"{ALERTS_KEY}: a route without to: write where it leads, such as to = {_ROUTE_EXAMPLE}"
            raise self._error((ALERTS_KEY, index), message)
        to = table["to"]
        if not isinstance(to, str) or not to:
            message = f"{ALERTS_KEY}.to: expected a URL, such as {_ROUTE_EXAMPLE}, and this is {_kind(to)}"
            raise self._error((ALERTS_KEY, index, "to"), message)
        if to.startswith((_ENV, _FILE)):
            to = self._read_secret((ALERTS_KEY, index, "to"), f"{ALERTS_KEY}.to", to)
        severity = table.get("severity", SEVERITIES[0])
        if severity not in SEVERITIES:
            message = f"{ALERTS_KEY}.severity: {_quote(severity)} is not one of {', '.join(SEVERITIES)}"
            raise self._error((ALERTS_KEY, index, "severity"), message)
        return AlertRoute(to, self._match(index, table.get("match", {})), severity)

    def _match(self, index: int, match: object) -> Mapping[str, str]:
        path = (ALERTS_KEY, index, "match")
        where = f"{ALERTS_KEY}.match"
        if not isinstance(match, dict):
            message = f'{where}: expected labels, such as match = {{ team = "eu" }}, and this is {_kind(match)}'
            raise self._error(path, message)
        for name, value in match.items():
            if not _LABEL_NAME.fullmatch(name):
                message = f"{where}: {_quote(name)} is no name of a label: write letters, digits and _, such as team"
                raise self._error((*path, name), message)
            if not isinstance(value, str):
                raise self._error((*path, name), f"{where}.{name}: expected text, and this is {_kind(value)}")
            if len(value) > _LONGEST_LABEL or not value.isprintable():
                message = f"{where}.{name}: a label is at most {_LONGEST_LABEL} characters on one line"
                raise self._error((*path, name), message)
        return dict(match)


_PROBE_KEYS = tuple(each.name for each in fields(ProbeSettings))
_ROUTE_EXAMPLE = '"alertmanager+http://HOST:9093"'


def _kind(value: object) -> str:
    for kind, words in _KINDS:
        if isinstance(value, kind):
            return words if value != "" else "empty"
    return "something else"


def _quote(text: object) -> str:
    return shorten(printable(str(text), "?"), 60)
