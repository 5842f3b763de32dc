"""A fleet in a process of its own: it follows its parent's requests and ends with the parent."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests.support.waiting import PATIENCE

from healthprobe.testing.engines import Script
from healthprobe.testing.fleet import FleetProcess


def status_of(endpoint: str, *, within: float = PATIENCE) -> int:
    """Returns the status that an engine answers with. Raises OSError if it does not answer."""
    connection = HTTPConnection(urlsplit(endpoint).netloc, timeout=within)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status
    finally:
        connection.close()


def test_a_change_of_behaviour_is_in_force_when_the_call_returns() -> None:
    with FleetProcess({"game-7": Script(), "game-8": Script()}) as fleet:
        fleet.become({"game-7": 503})
        assert status_of(fleet.endpoints["game-7"]) == 503
        assert status_of(fleet.endpoints["game-8"]) == 200
        fleet.become({"game-7": "crash", "game-8": "hang"})
        with pytest.raises(ConnectionRefusedError):
            status_of(fleet.endpoints["game-7"])
        with pytest.raises(TimeoutError):
            status_of(fleet.endpoints["game-8"], within=0.2)
        fleet.become({"game-7": 200, "game-8": 200})
        assert {status_of(endpoint) for endpoint in fleet.endpoints.values()} == {200}


def test_a_game_that_is_not_in_the_fleet_is_refused_and_nothing_changes() -> None:
    with FleetProcess({"game-7": Script()}) as fleet:
        with pytest.raises(KeyError, match="game-9"):
            fleet.become({"game-7": 503, "game-9": 503})
        assert status_of(fleet.endpoints["game-7"]) == 200


def test_a_change_after_the_process_has_ended_raises_an_error() -> None:
    with FleetProcess({"game-7": Script()}) as fleet:
        os.kill(fleet.pid, signal.SIGKILL)
        with pytest.raises(RuntimeError, match="the engines' process has ended"):
            fleet.become({"game-7": 503})


def test_a_fleet_process_ends_with_its_context() -> None:
    with FleetProcess({"game-7": Script()}) as fleet:
        pid = fleet.pid
        assert fleet.endpoints["game-7"].startswith("http://127.0.0.1:")
        assert time.monotonic() - fleet.began < PATIENCE
        os.kill(pid, 0)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_fleet_process_does_not_outlive_a_parent_that_is_killed() -> None:
    program = (
        "from healthprobe.testing.engines import Script\n"
        "from healthprobe.testing.fleet import FleetProcess\n"
        "import json, os, signal\n"
        "fleet = FleetProcess({'game-7': Script()}).__enter__()\n"
        "print(json.dumps(fleet.pid), flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, check=False, timeout=PATIENCE)
    assert killed.returncode == -9
    assert ends_soon(json.loads(killed.stdout))


def ends_soon(pid: int) -> bool:
    """Whether a process that is not our child is gone, or only waits to be buried, within five seconds."""
    status = Path(f"/proc/{pid}/stat")
    for _ in range(100):
        if not status.exists() or status.read_text().rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.05)
    return False
