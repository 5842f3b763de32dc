"""One file with the settings of a run: where values come from, secrets, probe defaults and routes of alerts."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.support.live_engine import LiveEngine
from tests.support.program import CommandLine, Program, next_document, written_games
from typer.main import get_command

from healthprobe.app import run as service
from healthprobe.app.settings import Settings
from healthprobe.app.settings_file.keys import line_of
from healthprobe.app.settings_file.options import file_options, secret_of
from healthprobe.app.settings_file.reading import SettingsFile, read_settings_file
from healthprobe.cli.main import application
from healthprobe.domain.alarms.alert import AlertRoute
from healthprobe.domain.policy import FlapRule
from healthprobe.domain.probe.probe_settings import Expectation, ProbeKind, ProbeSettings
from healthprobe.ports import ConfigurationError

RUN: Any = get_command(application(["run"])).commands["run"]  # type: ignore[attr-defined]  # a group's


@pytest.fixture
def settings_of(command_line: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Returns the settings with which `run` would begin, for a file, options and variables."""
    begun: list[Settings] = []
    monkeypatch.setattr(service, "run_service", lambda settings, _console: begun.append(settings))

    def settings_of(text: str, *options: str, **variables: str) -> Settings:
        (tmp_path / "healthprobe.toml").write_text(text)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        ended = command_line("run", "--config", "healthprobe.toml", *options)
        assert ended.code == 0, ended.err
        return begun.pop()

    return settings_of


def read(tmp_path: Path, text: str) -> SettingsFile:
    path = tmp_path / "healthprobe.toml"
    path.write_text(text)
    return read_settings_file(str(path), file_options(RUN))


EVERYTHING = """
records = "file:games.yaml"
log = "sqlite:log.db"
publish = ["stdout:", "redis://bus"]
notify = "slack://a/b/c"
interval = "10s"
timeout = "1500ms"
failures = 4
successes = 2
confirm = "250ms"
grace = "30s"
flap = "6/1h"
hold = "50%"
canary = ["http://gateway/"]
identity-header = "X-Game-ID"
allow-network = ["10.0.0.0/8"]
max-concurrency = 64
connections = "fresh"
retain = "90d"
listen = "127.0.0.1:8600"
"""


def test_every_option_has_the_same_name_and_form_in_the_file(settings_of: Any) -> None:
    found: Settings = settings_of(EVERYTHING)
    assert (found.records, found.log, found.publish) == ("file:games.yaml", "sqlite:log.db", ("stdout:", "redis://bus"))
    assert (found.notify, found.canaries) == (("slack://a/b/c",), ("http://gateway/",))
    assert (found.interval, found.timeout, found.failures, found.retain) == (10.0, 1.5, 4, 90 * 86_400.0)
    assert (found.policy.successes, found.policy.confirm, found.policy.hold) == (2, 0.25, 0.5)
    assert found.policy.flap == FlapRule(6, 3600.0)
    assert (found.max_concurrency, found.keep_connections, found.allow_networks) == (64, False, ("10.0.0.0/8",))
    assert str(found.listen) == "127.0.0.1:8600"


def test_an_option_wins_over_a_variable_a_variable_over_the_file_and_the_file_over_the_default(
    settings_of: Any,
) -> None:
    file = 'interval = "20s"\ntimeout = "3s"\nfailures = 7\npublish = ["redis://file"]\n'
    found: Settings = settings_of(file, "--interval", "10s", HEALTHPROBE_INTERVAL="15s", HEALTHPROBE_TIMEOUT="4s")
    assert (found.interval, found.timeout, found.failures, found.policy.successes) == (10.0, 4.0, 7, 1)
    assert found.publish == ("redis://file",)
    assert settings_of(file, "--publish", "stdout:").publish == ("stdout:",)
    assert settings_of(file, RTMANAGER_PROBE_FAILURES_THRESHOLD="5").failures == 5


def test_the_file_may_be_named_by_a_variable(
    settings_of: Any, command_line: CommandLine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert settings_of("").interval == 5.0
    (tmp_path / "other.toml").write_text("interval = 5\n")
    monkeypatch.setenv("HEALTHPROBE_CONFIG", "other.toml")
    assert command_line("run").err[0].startswith("healthprobe: other.toml:1: interval: ")


def test_a_file_of_the_usual_name_is_not_read_unless_it_is_named(command_line: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "healthprobe.toml").write_text("nonsense")
    refused = command_line("run", "--records", "sqlite:")
    assert "sqlite: is not a database" in refused.err[0]


def test_an_error_about_a_value_names_what_set_it(
    command_line: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "healthprobe.toml").write_text('\nretain = "90"\n')
    run = ("run", "--config", "healthprobe.toml")
    assert command_line(*run).err[0].startswith("healthprobe: healthprobe.toml:2: retain: '90' has no unit")
    monkeypatch.setenv("HEALTHPROBE_RETAIN", "91")
    assert command_line(*run).err[0].startswith("healthprobe: HEALTHPROBE_RETAIN: '91' has no unit")
    assert command_line(*run, "--retain", "92").err[0].startswith("healthprobe: --retain: '92' has no unit")


def test_tabs_comments_a_mark_of_utf_8_and_windows_line_ends_are_fine(tmp_path: Path) -> None:
    file = read(
        tmp_path,
        '\ufeff# settings\r\n\tinterval\t=\t"10s"\t# ten\r\n[probe]\r\n\tpath = "/a\tb"\r\n'.replace("a\tb", "ab"),
    )
    assert (file.values, file.probe.path) == ({"interval": "10s"}, "/ab")


def test_secrets_are_in_variables_or_in_files(settings_of: Any, tmp_path: Path) -> None:
    secret = tmp_path / "token.secret"
    secret.write_text("long random word\n")
    secret.chmod(0o600)
    text = 'listen = ":8600"\ntoken = "file:token.secret"\nwebhook-secret = "env:HOOK"\nlog = "env:LOG"\n'
    found: Settings = settings_of(text, HOOK="hook", LOG="sqlite:other.db")
    assert (found.token, found.webhook_secret, found.log) == ("long random word", "hook", "sqlite:other.db")
    assert settings_of(text, HEALTHPROBE_TOKEN="another").token == "another"


def test_the_variables_of_secrets_may_name_a_file_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("word\n")
    monkeypatch.setenv("HEALTHPROBE_TOKEN", f"file:{tmp_path}/token")
    assert secret_of("HEALTHPROBE_TOKEN")[0] == "word"
    monkeypatch.setenv("HEALTHPROBE_TOKEN", "env:NO_SUCH_VARIABLE")
    with pytest.raises(ConfigurationError, match="HEALTHPROBE_TOKEN: the variable NO_SUCH_VARIABLE is not set"):
        secret_of("HEALTHPROBE_TOKEN")


@pytest.mark.parametrize(("mode", "is_wide"), [(0o600, False), (0o640, False), (0o644, True), (0o660, True)])
def test_a_secret_that_every_user_can_read_is_warned_of(tmp_path: Path, mode: int, is_wide: bool) -> None:  # noqa: FBT001
    secret = tmp_path / "token"
    secret.write_text("word")
    secret.chmod(mode)
    file = read(tmp_path, f'# secrets\ntoken = "file:{secret}"\n')
    warning = (
        f"{file.path}:2: token: the secret file {secret} is open to others (mode {mode:04o}): "
        f"chmod 600 {secret}, or 640 for a group"
    )
    assert file.warnings == ((warning,) if is_wide else ())
    assert "word" not in repr(file)


def test_a_file_url_of_records_is_no_secret(tmp_path: Path) -> None:
    file = read(tmp_path, 'records = "file:games.yaml"\npublish = ["file:events.jsonl"]\n')
    assert file.values == {"records": "file:games.yaml", "publish": ["file:events.jsonl"]}


def test_probe_defaults_are_those_of_a_record(settings_of: Any) -> None:
    text = """
[probe]
path = "/ready"
method = "HEAD"
headers = { X-Fleet = "eu", Authorization = "env:PROBE_AUTHORIZATION" }
every = 2
[probe.expect]
status = [200, "202-204"]
"""
    found: Settings = settings_of(text, PROBE_AUTHORIZATION="Basic secret")
    assert found.probe == ProbeSettings(
        path="/ready",
        method="HEAD",
        headers=(("X-Fleet", "eu"), ("Authorization", "Basic secret")),
        expect=Expectation(statuses=((200, 200), (202, 204))),
        every=2,
    )
    assert found.worker_config(16).probe == found.probe
    assert settings_of('[probe]\nkind = "tcp"\nsend = "PING"\n').probe.kind is ProbeKind.TCP


def test_instances_with_other_probe_defaults_have_another_rule(settings_of: Any) -> None:
    rules = {
        settings_of(text).rule
        for text in (
            "",
            '[probe]\npath = "/a"',
            '[probe]\npath = "/b"',
            '[probe.headers]\na = "1"',
            '[probe.headers]\na = "2"',
        )
    }
    assert len(rules) == 5
    assert Settings().rule in rules


def test_routes_of_alerts_are_tables(settings_of: Any) -> None:
    text = """
[[alerts]]
to = "alertmanager+http://am:9093"

[[alerts]]
to = "env:PAGER"
severity = "warning"
[alerts.match]
team = "eu"
region = "de"
"""
    found: Settings = settings_of(text, PAGER="pagerduty://secret")
    assert found.alerts == (
        AlertRoute("alertmanager+http://am:9093"),
        AlertRoute("pagerduty://secret", {"team": "eu", "region": "de"}, "warning"),
    )
    assert "secret" not in repr(found)


def test_the_line_of_a_key_is_found_however_it_is_written() -> None:
    text = '''# first
a = """
[probe]
path = 1
"""
"b" = [
  1, # one,
  2,
]
probe.path = "/x"

[c.d] # a table
e = { f = 1, g = { h = 2 } }
[[alerts]]
to = "1"
[[alerts]]
to = "2"
match.team = "eu"
'''
    expected: Mapping[tuple[str | int, ...], int] = {
        ("a",): 2,
        ("b",): 6,
        ("probe", "path"): 10,
        ("c", "d"): 12,
        ("c", "d", "e", "g", "h"): 13,
        ("alerts", 0): 14,
        ("alerts", 0, "to"): 15,
        ("alerts", 1): 16,
        ("alerts", 1, "match", "team"): 18,
        ("alerts", 1, "match", "other"): 18,
        ("nothing",): 1,
    }
    assert {path: line_of(text, path) for path in expected} == expected


def test_a_run_warns_of_a_wide_secret_and_goes_on(
    settings_of: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], command_line: CommandLine
) -> None:
    (tmp_path / "token").write_text("word")
    os.chmod(tmp_path / "token", 0o644)  # noqa: PTH101
    settings_of('token = "file:token"\n')
    assert "is open to others (mode 0644): chmod 600" in "".join(command_line.err)


def test_commands_that_read_what_a_run_writes_find_it_by_the_same_file(
    command_line: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "healthprobe.toml").write_text('records = "sqlite:games.db"\nlog = "sqlite:log.db"\n')
    monkeypatch.setenv("HEALTHPROBE_CONFIG", "healthprobe.toml")
    assert command_line("runtimes", "add", "game-7", "http://127.0.0.1:1").code == 0
    assert [path.name for path in tmp_path.glob("*.db")] == ["games.db"]
    for command in ("events", "incidents", "relays"):
        assert "log.db holds nothing yet" in command_line(command).err[0]
    assert "other.db holds nothing yet" in command_line("events", "--log", "sqlite:other.db").err[0]
    monkeypatch.setenv("HEALTHPROBE_CONFIG", "nowhere.toml")
    assert "--config nowhere.toml: no such file" in command_line("events").err[0]
    assert command_line("events", "--help").code == 0


def test_a_run_takes_its_settings_and_its_probe_defaults_from_the_file(program: Program, engine: LiveEngine) -> None:
    games = written_games(program.folder, ["game-7"], engine.endpoint)
    (program.folder / "healthprobe.toml").write_text(
        f'records = "{games}"\ninterval = "150ms"\ntimeout = "100ms"\nfailures = 1\n'
        '[probe]\nexpect = { body_contains = "never" }\n'
    )
    event = next_document(program.start("run", "--config", "healthprobe.toml"))
    assert (event["event_type"], event["details"]["consecutive_failures"]) == ("probe_failed", 1)
