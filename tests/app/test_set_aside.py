"""What a run shows of events that its log, a real PostgreSQL, cannot hold, or does not take in time."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from typing import Any

import yaml
from tests.app.test_listen import address_of, got
from tests.servers.postgres import PostgresServer
from tests.support.live_engine import LiveEngine
from tests.support.program import Program, Started
from tests.support.waiting import PATIENCE

INTERVAL = ("--interval", "300ms", "--timeout", "100ms", "--failures", "2")
TOO_LONG = "".join(random.Random(18).choices("abcdefghijklmnopqrstuvwxyz0123456789", k=8_000))
"""An id that does not fit into a page of PostgreSQL's index, however it is compressed."""


def until(happened: Callable[[], Any]) -> Any:
    """Waits until `happened` returns something, and returns it."""
    deadline = time.monotonic() + PATIENCE
    while not (found := happened()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return found


def started(program: Program, log: str, engine: LiveEngine, *games: str) -> tuple[Started, str]:
    """Starts a run of these games, all at one engine, and returns its address."""
    records = [
        {"game_id": each, "current_container_id": "c0ffee", "engine_endpoint": engine.endpoint, "status": "running"}
        for each in games
    ]
    (program.folder / "games.yaml").write_text(yaml.safe_dump(records))
    running = program.start("run", "--records", "file:games.yaml", "--log", log, "--listen", "127.0.0.1:0", *INTERVAL)
    return running, address_of(running)


def gauge(address: str, name: str) -> float:
    lines = got(f"{address}metrics")[1].decode().splitlines()
    (value,) = [line.split()[1] for line in lines if line.startswith(f"{name} ")]
    return float(value)


def test_an_id_that_the_log_cannot_hold_is_shown_everywhere_and_keeps_no_other_game_waiting(
    program: Program, engine: LiveEngine, postgres_url: str
) -> None:
    engine.become(503)
    _, address = started(program, postgres_url, engine, "game-1", TOO_LONG, "game-2")

    def prober() -> dict[str, Any]:
        found: dict[str, Any] = json.loads(got(f"{address}api/fleet")[1])["prober"]
        return found

    (refused,) = until(lambda: prober()["set_aside"])
    assert (refused["game_id"], refused["event_type"]) == (TOO_LONG, "probe_failed")
    assert "index row" in refused["error"]

    def in_log() -> list[str]:
        return sorted(each["event"]["game_id"] for each in json.loads(got(f"{address}api/events")[1])["events"])

    until(lambda: in_log() == ["game-1", "game-2"])
    assert got(f"{address}healthz") == (200, b'{"well":true,"trouble":null}')
    assert gauge(address, "healthprobe_games_set_aside") == 1
    engine.become(200)
    until(lambda: json.loads(got(f"{address}api/fleet")[1])["down"] == 1)
    status = program("status", "--at", address)
    assert status.returncode == 1
    assert json.loads(status.stdout)["prober"]["set_aside"][0]["game_id"] == TOO_LONG


def test_an_event_that_waits_longer_than_three_intervals_for_its_log_is_shown_everywhere(
    program: Program, engine: LiveEngine
) -> None:
    with PostgresServer() as server:
        _, address = started(program, server.url("log"), engine, "game-1")
        until(lambda: json.loads(got(f"{address}api/fleet")[1])["healthy"] == 1)
        server.kill()
        engine.become(503)
        until(lambda: gauge(address, "healthprobe_transition_wait_seconds") > 0.9)
        code, body = got(f"{address}healthz")
        assert code == 503
        assert ", and 1 event waits for it: " in json.loads(body)["trouble"]
        assert "postgres:" not in body.decode(), "no credentials"
        status = program("status", "--at", address)
        assert status.returncode == 1
        assert ", and 1 event waits for it: " in json.loads(status.stdout)["summary"]
        server.start()
        until(lambda: got(f"{address}healthz")[0] == 200)
        assert gauge(address, "healthprobe_transition_wait_seconds") == 0
        until(lambda: json.loads(got(f"{address}api/events")[1])["events"])
