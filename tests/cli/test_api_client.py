"""The API client: every error is one line that says what to change, and exit code 2."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from tests.support.program import CommandLine, documents
from tests.support.watched_run import WatchedRun

from healthprobe.cli.api_client import NoAnswer, RunClient
from healthprobe.domain.outcome import HEALTHY

COMMANDS = (("status",), ("explain", "game-1"))


@contextmanager
def stranger(status: int, content: bytes) -> Iterator[str]:
    """A server that is not ours."""

    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answering) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def assert_refused(told: CommandLine, words: str) -> None:
    assert (told.code, told.out) == (2, [])
    assert len(told.err) == 1, told.err
    assert words in told.err[0]


@pytest.mark.parametrize("command", COMMANDS)
def test_without_a_run_the_error_names_the_command_that_starts_one(
    command_line: CommandLine, command: tuple[str, ...]
) -> None:
    told = command_line(*command, "--at", "http://127.0.0.1:1")
    assert_refused(told, "start a run with: healthprobe run --listen HOST:PORT, or read a log with --log")


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("status", "content"),
    [
        (200, b"<html>"),
        (200, b"{}"),
        (200, b'{"error": "no"}'),
        (200, b"\xff\xfe"),
        (404, b"Not Found"),
        (401, b""),
        (500, b"[]"),
    ],
)
def test_a_server_that_is_not_healthprobe_is_named_as_such(
    command_line: CommandLine, command: tuple[str, ...], status: int, content: bytes
) -> None:
    with stranger(status, content) as at:
        assert_refused(command_line(*command, "--at", at), "the server is not a healthprobe run")


@pytest.mark.parametrize(
    ("at", "words"),
    [
        ("127.0.0.1:8600", "write one such as http://127.0.0.1:8600"),
        ("ftp://127.0.0.1", "write one such as"),
        ("http://", "write one such as"),
        ("http://host:port", "write one such as"),
        ("http://user:secret@[", "write one such as"),
        ("http://user:secret@127.0.0.1:1", "http://***@127.0.0.1:1: no answer"),
        ("http://no-such-name.invalid", "no answer"),
        ("http://127.0.0.1:1/\x1b[2J", "write one such as"),
    ],
)
def test_an_invalid_address_is_refused_without_its_credentials(command_line: CommandLine, at: str, words: str) -> None:
    told = command_line("status", "--at", at)
    assert_refused(told, words)
    assert "secret" not in told.err[0]
    assert told.err[0].isprintable()


def test_a_missing_or_wrong_token_is_refused_with_the_variable_to_set(
    command_line: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with WatchedRun({"game-1": HEALTHY}, token="right") as run:
        run.wait_for_probes(1)
        assert_refused(command_line("status", "--at", run.at), "it requires a token: set HEALTHPROBE_TOKEN")
        monkeypatch.setenv("HEALTHPROBE_TOKEN", "wrong")
        told = command_line("status", "--at", run.at)
        assert_refused(told, "it refuses the token in HEALTHPROBE_TOKEN: set it to the token of that run")
        assert "wrong" not in told.err[0]
        monkeypatch.setenv("HEALTHPROBE_TOKEN", "right")
        assert documents(command_line("status", "--at", run.at).out)[0]["games"] == 1


@pytest.mark.parametrize("status", [404, 421, 503])
def test_the_error_of_a_run_is_passed_on_without_control_characters(command_line: CommandLine, status: int) -> None:
    with stranger(status, b'{"error": "your request names another host\\u001b"}') as at:
        told = command_line("status", "--at", at)
        assert_refused(told, f"it answers {status}: your request names another host")
        assert told.err[0].isprintable()


def test_a_request_to_a_run_that_hangs_times_out() -> None:
    with socket_that_hangs() as at, pytest.raises(NoAnswer, match="no answer in time"):
        RunClient(at, timeout=0.1).fleet()


def test_at_and_log_together_are_refused(command_line: CommandLine) -> None:
    told = command_line("status", "--at", "http://127.0.0.1:1", "--log", "sqlite:healthprobe.db")
    assert_refused(told, "--at asks a run and --log reads a log: leave one of them out")


@contextmanager
def socket_that_hangs() -> Iterator[str]:
    """The address of a process that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
