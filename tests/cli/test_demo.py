"""`demo`: real engines fail and recover, and all files are removed at the end."""

from __future__ import annotations

import json
import os
import signal
import time
from collections import defaultdict
from pathlib import Path

import pytest
from tests.support.program import Program, Started, documents, next_document
from tests.support.waiting import PATIENCE

from healthprobe.app.demo import demo_scripts

QUICK = ("demo", "--interval", "200ms", "--timeout", "80ms")


def test_the_demo_shows_outages_that_begin_and_end_and_its_log_can_be_kept(program: Program) -> None:
    running = program.start(*QUICK, "--log", "sqlite:demo.db", "--records", "sqlite:demo.db")
    events = [next_document(running)]
    while events[-1]["event_type"] != "probe_recovered":
        events.append(next_document(running))
    running.send_signal(signal.SIGINT)
    rest, errors = running.communicate(timeout=PATIENCE)
    assert running.returncode == 0
    events.extend(documents(rest.splitlines()))
    told: dict[str, list[str]] = defaultdict(list)
    for event in events:
        told[event["game_id"]].append(event["event_type"])
    assert "hex-1" not in told, "the flapping engine fails below the threshold"
    for kinds in told.values():
        assert kinds == [["probe_failed", "probe_recovered"][number % 2] for number in range(len(kinds))]
    stopped = documents(errors.splitlines())[-1]
    assert (stopped["msg"], stopped["games"]) == ("stopped", 12)
    assert documents(program("events", "--log", "sqlite:demo.db").stdout.splitlines()) == events
    assert program("runtimes", "list", "--records", "sqlite:demo.db").stdout == ""


def test_the_demo_ends_by_itself_and_removes_its_files(program: Program, tmp_path: Path) -> None:
    running = program.start(*QUICK, "--for", "500ms", TMPDIR=str(tmp_path))
    assert running.stderr is not None
    assert json.loads(running.stderr.readline())["msg"] == "started"
    assert list(tmp_path.iterdir())
    [child] = children_of(running)
    running.communicate(timeout=PATIENCE)
    assert running.returncode == 0
    assert not is_alive(child)
    assert not list(tmp_path.iterdir())


def test_the_engines_end_with_the_demo_even_if_it_is_killed(program: Program, tmp_path: Path) -> None:
    running = program.start(*QUICK, TMPDIR=str(tmp_path))
    next_document(running)
    [child] = children_of(running)
    running.kill()
    running.wait()
    deadline = time.monotonic() + PATIENCE
    while is_alive(child):
        assert time.monotonic() < deadline, "the engines are still there"
        time.sleep(0.05)


def children_of(running: Started) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()]


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


@pytest.mark.parametrize("failures", [1, 2, 3, 10])
def test_outages_reach_the_threshold_and_flaps_do_not(failures: int) -> None:
    """Told by the scripts alone, whatever the phase of a game's probe within the interval."""
    for game_id, script in demo_scripts(beat=1.0, failures=failures).items():
        runs = longest_runs_of_trouble([script.behaviour_at(beat / 10) != 200 for beat in range(1000)])
        if game_id in {"chess-1", "chess-2", "go-1", "go-2", "hex-2"}:
            assert runs >= 10 * (failures + 1)
        else:
            assert runs <= 10 * (failures - 1)


def longest_runs_of_trouble(troubles: list[bool]) -> int:
    longest = current = 0
    for trouble in troubles:
        current = current + 1 if trouble else 0
        longest = max(longest, current)
    return longest
