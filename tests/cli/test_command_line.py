"""Errors of every command: one line that says what to change, and a defined exit code."""

from __future__ import annotations

import pytest
from tests.support.program import CommandLine, Program

from healthprobe import __version__

RUN = ("run", "--records", "sqlite:games.db")


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        ((), "no command given, choose from run, check, demo, status, top, explain, cluster, silence, events, "),
        (("runtimes",), "no command given, choose from add, remove, list, import"),
        (("rnu",), "Did you mean 'run'?"),
        (("run", "--intervall", "5s"), "Possible options: --interval"),
        (("run", "--interval"), "'--interval' requires an argument"),
        (("run", "--interval", "5"), "--interval: '5' has no unit: write 5s"),
        (("run", "--timeout", "0s"), "--timeout: '0s' is zero"),
        (("run", "--timeout", "-1s"), "--timeout: '-1s' is negative"),
        (("run", "--timeout", "5s"), "--timeout 5s is not shorter than --interval 5s"),
        (("run", "--failures", "0"), "--failures: '0' is below 1"),
        (("run", "--failures", "many"), "--failures: 'many' is not a whole number"),
        (("run", "--successes", "0"), "--successes: '0' is below 1"),
        (("run", "--confirm", "5s"), "--confirm 5s is not shorter than --interval 5s"),
        (("run", "--confirm", "250"), "--confirm: '250' has no unit"),
        (("run", "--grace", "0s"), "--grace: '0s' is zero"),
        (("run", "--flap", "2/1h"), "--flap: '2/1h': two transitions are one incident"),
        (("run", "--hold", "0.5"), "--hold: '0.5' is no share of a fleet"),
        (("run", "--identity-header", "X Game"), "--identity-header: 'X Game' is no name of a header"),
        ((*RUN, "--deny-network", "10.0.0.1/8"), "--deny-network: '10.0.0.1/8' has bits beyond its length"),
        ((*RUN, "--canary", "gateway"), "--canary gateway: it has no scheme"),
        (("run", "--max-concurrency", "0"), "write auto, or a number such as 64"),
        (("run", "--connections", "some"), "'some' is not one of 'reuse', 'fresh'"),
        (("run", "--log-level", "loud"), "'loud' is not one of"),
        (("run", "--retain", "90"), "--retain: '90' has no unit"),
        (("run", "--records", "games.db"), "use sqlite: or postgresql: or file: or http: or https:"),
        (("run", "--records", "sqlite:"), "sqlite: is not a database: write sqlite:PATH"),
        (("run", "--records", "nats://user:secret@bus/GA.MES"), "the name of its bucket is letters, digits, - and _"),
        (
            ("run", "--records", "postgresql://user:secret@host:port/games"),
            "write postgresql://USER:PASSWORD@HOST:PORT",
        ),
        (("run", "--records", "file:nowhere.yaml"), "nowhere.yaml"),
        ((*RUN, "--log", "file:events.yaml"), "--log file:…: not a known URL; use sqlite:"),
        ((*RUN, "--log", "redis://log"), "not a known URL; use sqlite: or postgresql:"),
        ((*RUN, "--log", "sqlite:no/such/folder/log.db"), "there is no folder no/such/folder"),
        ((*RUN, "--log", "nats://user:secret@bus?replicas=2"), "replicas is one of 1, 3, 5"),
        ((*RUN, "--publish", "nats://bus"), "--publish nats:…: not a known URL; use stdout:"),
        ((*RUN, "--publish", "file:"), "file: names no file; write file:PATH"),
        ((*RUN, "--publish", "redis://bus/0?maxlem=7"), "'maxlem' is not known in its query"),
        ((*RUN, "--notify", "nonsense"), "apprise does not know"),
        (("runtimes", "list", "--records", "file:games.json"), "is edited in the file itself"),
        (("events", "--dead", "--follow"), "--follow follows the log, and dead letters are not in it"),
        (("events", "--replay-dead", "--follow"), "--follow follows the log, and dead letters are not in it"),
        (("events", "--replay-dead", "--game", "game-7"), "leave --game out"),
        (("events", "--dead", "--log", "sqlite:nowhere.db"), "nowhere.db"),
        (("events", "--replay-dead", "--log", "sqlite:nowhere.db"), "nowhere.db"),
        (("check",), "Missing argument 'URL...'"),
        (("explain",), "Missing argument 'GAME'"),
        (("status", "--log", "sqlite:nowhere.db"), "nowhere.db"),
        (("explain", "game-7", "--log", "sqlite:nowhere.db"), "nowhere.db"),
        (("runtimes", "add", "game-7"), "Missing argument 'ENDPOINT'"),
        (("events", "--log", "sqlite:nowhere.db"), "nowhere.db"),
        (("incidents", "--log", "sqlite:nowhere.db"), "nowhere.db"),
    ],
)
def test_a_usage_error_is_one_line_that_says_what_to_change(
    command_line: CommandLine, arguments: tuple[str, ...], advice: str
) -> None:
    told = command_line(*arguments)
    assert told.code == 2
    assert told.out == []
    assert len(told.err) == 1, told.err
    assert advice in told.err[0]
    assert "secret" not in told.err[0]


@pytest.mark.parametrize(
    ("variables", "blamed"),
    [
        ({"HEALTHPROBE_INTERVAL": "x"}, "HEALTHPROBE_INTERVAL: 'x'"),
        ({"RTMANAGER_PROBE_INTERVAL": "x"}, "RTMANAGER_PROBE_INTERVAL: 'x'"),
        ({"RTMANAGER_PROBE_TIMEOUT": "x"}, "RTMANAGER_PROBE_TIMEOUT: 'x'"),
        ({"RTMANAGER_PROBE_FAILURES_THRESHOLD": "x"}, "RTMANAGER_PROBE_FAILURES_THRESHOLD: 'x'"),
        ({"HEALTHPROBE_INTERVAL": "x", "RTMANAGER_PROBE_INTERVAL": "y"}, "HEALTHPROBE_INTERVAL: 'x'"),
        ({"HEALTHPROBE_TIMEOUT": "", "RTMANAGER_PROBE_TIMEOUT": "y"}, "RTMANAGER_PROBE_TIMEOUT: 'y'"),
        ({"HEALTHPROBE_MAX_CONCURRENCY": "x"}, "HEALTHPROBE_MAX_CONCURRENCY: 'x'"),
        ({"HEALTHPROBE_CONNECTIONS": "x"}, "HEALTHPROBE_CONNECTIONS: 'x'"),
        ({"HEALTHPROBE_RECORDS": "x"}, "--records x"),
        ({"HEALTHPROBE_LOG": "x"}, "--log x"),
        ({"HEALTHPROBE_PUBLISH": "stdout: x"}, "--publish x"),
        ({"HEALTHPROBE_TIMEOUT": "9s"}, "--timeout 9s is not shorter than --interval 5s"),
        ({"RTMANAGER_PROBE_INTERVAL": "1s"}, "--timeout 2s is not shorter than --interval 1s"),
    ],
)
def test_a_variable_sets_its_option_and_is_named_in_the_error(
    command_line: CommandLine, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], blamed: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    told = command_line("run")
    assert told.code == 2
    assert blamed in told.err[0]


def test_an_option_wins_over_both_variables(command_line: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEALTHPROBE_INTERVAL", "x")
    monkeypatch.setenv("RTMANAGER_PROBE_INTERVAL", "y")
    told = command_line("run", "--interval", "1s")
    assert "--timeout 2s is not shorter than --interval 1s" in told.err[0]


@pytest.mark.parametrize(
    ("command", "variables"),
    [
        (
            ("run",),
            {
                "HEALTHPROBE_RECORDS",
                "HEALTHPROBE_RECORDS_QUERY",
                "HEALTHPROBE_LOG",
                "HEALTHPROBE_RETAIN",
                "HEALTHPROBE_PUBLISH",
                "HEALTHPROBE_NOTIFY",
                "HEALTHPROBE_INTERVAL",
                "RTMANAGER_PROBE_INTERVAL",
                "HEALTHPROBE_TIMEOUT",
                "RTMANAGER_PROBE_TIMEOUT",
                "HEALTHPROBE_FAILURES",
                "RTMANAGER_PROBE_FAILURES_THRESHOLD",
                "HEALTHPROBE_MAX_CONCURRENCY",
                "HEALTHPROBE_CONNECTIONS",
                "HEALTHPROBE_LOG_LEVEL",
                "HEALTHPROBE_JSON",
            },
        ),
        (("check",), {"HEALTHPROBE_TIMEOUT", "RTMANAGER_PROBE_TIMEOUT", "HEALTHPROBE_VERBOSE", "HEALTHPROBE_JSON"}),
        (("status",), {"HEALTHPROBE_AT", "HEALTHPROBE_LOG", "HEALTHPROBE_CLUSTER", "HEALTHPROBE_JSON"}),
        (("top",), {"HEALTHPROBE_AT"}),
        (("explain",), {"HEALTHPROBE_AT", "HEALTHPROBE_LOG", "HEALTHPROBE_CLUSTER", "HEALTHPROBE_JSON"}),
        (
            ("events",),
            {
                "HEALTHPROBE_LOG",
                "HEALTHPROBE_CLUSTER",
                "HEALTHPROBE_FOLLOW",
                "HEALTHPROBE_GAME",
                "HEALTHPROBE_DEAD",
                "HEALTHPROBE_JSON",
            },
        ),
        (("incidents",), {"HEALTHPROBE_LOG", "HEALTHPROBE_CLUSTER", "HEALTHPROBE_JSON"}),
        (
            ("runtimes", "add"),
            {"HEALTHPROBE_RECORDS", "HEALTHPROBE_CLUSTER", "HEALTHPROBE_CONTAINER", "HEALTHPROBE_STATUS"},
        ),
        (("demo",), {"HEALTHPROBE_FOR", "HEALTHPROBE_INTERVAL", "HEALTHPROBE_DEMO_LOG"}),
    ],
)
def test_help_names_every_variable_and_gives_an_example(
    command_line: CommandLine, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], variables: set[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    told = command_line(*command, "--help")
    assert told.code == 0
    assert max(map(len, told.out)) <= 80
    words = set(" ".join(told.out).replace("]", " ").replace(",", " ").split())
    assert variables <= words
    if command != ("runtimes", "add"):
        assert "Example:" in words


def test_the_version_is_shown(command_line: CommandLine) -> None:
    told = command_line("--version")
    assert (told.code, told.out) == (0, [f"healthprobe {__version__}"])


def test_a_bug_is_one_line_that_says_how_to_get_a_traceback(
    command_line: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a bug,\nswitched on for this test")

    monkeypatch.setattr("healthprobe.cli.check.check_all", broken)
    told = command_line("check", "http://127.0.0.1:1")
    assert told.code == 70
    assert len(told.err) == 1
    assert "set HEALTHPROBE_TRACEBACK=1 to see where" in told.err[0]

    monkeypatch.setenv("HEALTHPROBE_TRACEBACK", "1")
    told = command_line("check", "http://127.0.0.1:1")
    assert "Traceback (most recent call last):" in told.err


def test_the_program_runs_as_a_module_with_the_same_errors_and_codes(program: Program) -> None:
    ended = program("run", "--interval", "5")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == (
        "healthprobe: --interval: '5' has no unit: write 5s for seconds, or use ms, m or h "
        "(see healthprobe run --help)\n"
    )
