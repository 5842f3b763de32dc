"""Each option of `run` that makes a verdict safer works on real engines."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from tests.support.live_engine import LiveEngine
from tests.support.program import QUICK, CommandLine, Program, next_document, next_log_line, written_games
from tests.support.waiting import PATIENCE

from healthprobe.app import run
from healthprobe.app.settings import Settings
from healthprobe.domain.policy import REFERENCE, FlapRule, Policy

EVERY_OPTION = (
    *("--successes", "2", "--confirm", "250ms", "--grace", "10s", "--flap", "6/1h", "--hold", "50%"),
    *("--canary", "http://a/", "--canary", "http://b/x", "--identity-header", "X-Game-ID"),
    *("--allow-network", "10.0.0.0/8", "--deny-network", "10.9.0.0/16"),
)


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """The settings that `run` is begun with; nothing runs."""
    found: list[Settings] = []
    monkeypatch.setattr(run, "run_service", lambda settings, _: found.append(settings))
    return found


def test_every_option_is_in_the_settings_of_the_run(command_line: CommandLine, given: list[Settings]) -> None:
    assert command_line("run", *EVERY_OPTION).code == 0
    [settings] = given
    assert settings.policy == Policy(2, 0.25, 10.0, FlapRule(6, 3600.0), 0.5)
    assert settings.canaries == ("http://a/", "http://b/x")
    assert settings.identity_header == "X-Game-ID"
    assert (settings.allow_networks, settings.deny_networks) == (("10.0.0.0/8",), ("10.9.0.0/16",))


def test_without_options_the_rules_are_those_of_the_reference(command_line: CommandLine, given: list[Settings]) -> None:
    assert command_line("run").code == 0
    [settings] = given
    assert settings.policy == REFERENCE
    others = (settings.canaries, settings.identity_header, settings.allow_networks, settings.deny_networks)
    assert others == ((), None, (), ())


def test_a_forbidden_address_is_a_failure_of_the_game(program: Program, engine: LiveEngine, tmp_path: Path) -> None:
    games = written_games(tmp_path, ["game-1"], engine.endpoint)
    failed = next_document(program.start(*QUICK, "--records", games, "--deny-network", "127.0.0.0/8"))
    assert failed["details"]["last_error"] == "address 127.0.0.1 is not to be probed: --deny-network 127.0.0.0/8"
    assert engine.probes == 0


def test_while_no_canary_answers_a_dead_engine_does_not_fail_and_the_run_logs_why(
    program: Program, engine: LiveEngine, tmp_path: Path
) -> None:
    games = written_games(tmp_path, ["game-1"], engine.endpoint)
    running = program.start(*QUICK, "--records", games, "--canary", "http://127.0.0.1:1/")
    engine.wait_for_probes(1)
    engine.become(503)
    engine.wait_for_probes(6)
    while (line := next_log_line(running))["msg"].partition(":")[0] != "the prober is blind":
        continue
    assert line["err"] == "connection refused"
    running.terminate()
    printed, _ = running.communicate(timeout=PATIENCE)
    assert printed == ""


def test_a_dead_engine_is_confirmed_within_its_interval(program: Program, engine: LiveEngine, tmp_path: Path) -> None:
    games = written_games(tmp_path, ["game-1"], engine.endpoint)
    pace = ("run", "--interval", "3s", "--timeout", "200ms", "--failures", "5", "--confirm", "100ms")
    running = program.start(*pace, "--records", games)
    engine.wait_for_probes(1)
    began = time.monotonic()
    engine.become("crash")
    failed = next_document(running)
    assert failed["details"]["consecutive_failures"] == 5
    assert time.monotonic() - began < 2 * 3.0, "by the ticks alone it would be four intervals at least"


def test_a_game_has_no_event_in_its_grace_and_a_silenced_game_those_of_any_other(
    program: Program, command_line: CommandLine, engine: LiveEngine
) -> None:
    engine.become(503)
    command_line("runtimes", "add", "starting", engine.endpoint)
    command_line("runtimes", "add", "silenced", engine.endpoint)
    assert command_line("silence", "silenced", "--for", "1h", "--why", "new version").code == 0
    running = program.start(*QUICK, "--grace", "2s")
    failed = [next_document(running) for _ in range(2)]
    assert {each["game_id"] for each in failed} == {"starting", "silenced"}
    assert engine.probes > 6, "they were asked all the while"
    running.terminate()
    assert running.communicate(timeout=PATIENCE)[0] == ""


class _Neighbour(BaseHTTPRequestHandler):
    """Answers 200, in the name of game-9."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("X-Game-ID", "game-9")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def neighbour() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), _Neighbour)
    serving = threading.Thread(target=server.serve_forever, args=(0.05,))
    serving.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    serving.join()
    server.server_close()


def test_a_response_with_the_identity_of_another_game_is_a_failure(
    program: Program, neighbour: str, tmp_path: Path
) -> None:
    games = written_games(tmp_path, ["game-7"], neighbour)
    failed = next_document(program.start(*QUICK, "--records", games, "--identity-header", "X-Game-ID"))
    assert failed["details"] == {"consecutive_failures": 2, "last_status": 200, "last_error": "answered by game-9"}


def test_a_game_is_probed_with_the_settings_of_its_record(program: Program, neighbour: str, tmp_path: Path) -> None:
    host, _, port = neighbour.removeprefix("http://").partition(":")
    records = [
        {"game_id": "http", "engine_endpoint": neighbour, "probe": {"expect": {"status": 204}, "failures": 1}},
        {"game_id": "tcp", "engine_endpoint": f"http://{host}:1", "probe": {"kind": "tcp", "port": int(port)}},
        {"game_id": "grpc", "engine_endpoint": neighbour, "probe": {"kind": "grpc", "failures": 1}},
    ]
    (tmp_path / "games.json").write_text(json.dumps(records))
    running = program.start(*QUICK, "--records", f"file:{tmp_path}/games.json")
    told = {
        event["game_id"]: event["details"]["last_error"] for event in (next_document(running), next_document(running))
    }
    assert set(told) == {"http", "grpc"}, "the one of kind tcp is well"
    assert told["http"] == "unexpected status 200"
