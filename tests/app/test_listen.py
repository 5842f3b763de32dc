"""`run --listen`: the page and the API of a real run, its token, and its stop."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from tests.support.live_engine import LiveEngine
from tests.support.program import Program, Started, next_document
from tests.support.waiting import PATIENCE

A_BUSY_MACHINE = 10.0
"""Seconds that a busy machine may add. A stream that held up the stop would do so until the reader leaves."""

TOKEN = {"HEALTHPROBE_TOKEN": "long and random"}


def address_of(running: Started) -> str:
    assert running.stderr is not None
    for line in running.stderr:
        told = json.loads(line)
        if told["msg"] == "started":
            return str(told["address"])
    raise AssertionError("it never started")


def got(url: str, **headers: str) -> tuple[int, bytes]:
    try:
        with urlopen(Request(url, headers=headers), timeout=PATIENCE) as answer:
            return answer.status, answer.read()
    except HTTPError as refused:
        return refused.code, refused.read()


def test_a_run_serves_its_games_its_metrics_and_its_own_health(program: Program, engine: LiveEngine) -> None:
    program("runtimes", "add", "game-7", engine.endpoint)
    engine.become(503)
    running = program.start("run", "--listen", "127.0.0.1:0", "--interval", "300ms", "--timeout", "100ms")
    address = address_of(running)
    assert next_document(running)["event_type"] == "probe_failed"
    deadline = time.monotonic() + PATIENCE
    while (fleet := json.loads(got(f"{address}api/fleet")[1]))["down"] != 1:
        assert time.monotonic() < deadline, fleet
        time.sleep(0.1)
    assert fleet["summary"].startswith("1 of 1 engines is down: game-7, for ")
    assert got(f"{address}healthz")[0] == 200
    assert b'healthprobe_games{state="down"} 1.0' in got(f"{address}metrics")[1]
    assert b"<html" in got(address)[1].lower()


@pytest.mark.proves("stream-stop")
def test_an_open_event_stream_does_not_delay_the_stop(program: Program) -> None:
    running = program.start("run", "--listen", "127.0.0.1:0", "--timeout", "500ms")
    address = address_of(running)
    with urlopen(f"{address}api/cells/stream", timeout=PATIENCE) as stream:
        assert stream.readline().startswith(b"event: ")
        began = time.monotonic()
        running.terminate()
        assert running.wait(timeout=PATIENCE) == 0
        assert time.monotonic() - began < 0.5 + 2 + A_BUSY_MACHINE
    assert running.stderr is not None
    assert all(json.loads(line) for line in running.stderr), "uvicorn has nothing to say beside us"


def test_clients_on_other_machines_need_the_token(program: Program) -> None:
    refused = program("run", "--listen", "0.0.0.0:0")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "set HEALTHPROBE_TOKEN to a long random word" in refused.stderr
    running = program.start("run", "--listen", "0.0.0.0:0", **TOKEN)
    address = address_of(running).replace("0.0.0.0", "127.0.0.1")
    assert got(f"{address}api/fleet")[0] == 401
    assert got(f"{address}healthz")[0] == 200
    assert got(f"{address}api/fleet", Authorization="Bearer long and random")[0] == 200


def test_a_port_in_use_is_one_line_on_standard_error(program: Program) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        refused = program("run", "--listen", f"127.0.0.1:{taken.getsockname()[1]}")
    assert refused.returncode == 2
    (line,) = refused.stderr.splitlines()
    assert "address already in use; choose another" in line


@pytest.mark.parametrize("text", ["8600", "127.0.0.1:x"])
def test_an_invalid_address_is_refused_with_a_valid_example(program: Program, text: str) -> None:
    refused = program("run", "--listen", text)
    assert refused.returncode == 2
    assert "write one such as 127.0.0.1:8600" in " ".join(refused.stderr.split())


def test_a_run_at_a_unix_socket_needs_no_token_and_is_asked_there(
    program: Program, engine: LiveEngine, tmp_path: Path
) -> None:
    program("runtimes", "add", "game-7", engine.endpoint)
    running = program.start("run", "--listen", f"unix:{tmp_path}/hp.sock", "--interval", "300ms", "--timeout", "100ms")
    assert address_of(running) == f"unix:{tmp_path}/hp.sock"
    deadline = time.monotonic() + PATIENCE
    while True:
        asked = program("status", "--at", f"unix:{tmp_path}/hp.sock", "--json")
        if asked.returncode == 0 and json.loads(asked.stdout)["healthy"] == 1:
            break
        assert time.monotonic() < deadline, asked
    running.terminate()
    assert running.wait(timeout=PATIENCE) == 0
    assert not (tmp_path / "hp.sock").exists()
    gone = program("status", "--at", f"unix:{tmp_path}/hp.sock")
    assert gone.returncode == 2
    assert "no answer (no such file or directory)" in gone.stderr


def test_a_run_at_localhost_answers_on_both_families(program: Program) -> None:
    running = program.start("run", "--listen", "localhost:0")
    address = address_of(running)
    assert address.startswith("http://localhost:")
    hosts = ["127.0.0.1", "[::1]"] if socket.has_ipv6 and Path("/proc/net/if_inet6").exists() else ["127.0.0.1"]
    for host in (*hosts, "localhost"):
        assert got(f"{address}healthz".replace("localhost", host))[0] == 200
