"""`run`: a real process on real engines, from its first probe to its last line."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.servers.postgres import PostgresServer
from tests.support.live_engine import LiveEngine
from tests.support.program import (
    PROGRAM,
    QUICK,
    CommandLine,
    Document,
    Program,
    Started,
    clean_environment,
    documents,
    next_document,
    next_log_line,
    written_games,
)
from tests.support.waiting import PATIENCE

FIELDS = ["id", "sequence", "game_id", "container_id", "event_type", "occurred_at", "details"]

MORE_THAN_A_PIPE_HOLDS = 400
A_BUSY_MACHINE = 2.0
"""Seconds that a process may be kept waiting for its turn, beyond what it promises."""
"""Events, of some 250 bytes each."""


def wait_for_events(command_line: CommandLine, count: int) -> None:
    """Wait until the log holds `count` events; the test's own time limit bounds the wait."""
    while len(command_line("events").out) < count:
        time.sleep(0.05)


def test_an_outage_is_one_probe_failed_and_one_probe_recovered(
    program: Program, engine: LiveEngine, tmp_path: Path
) -> None:
    running = program.start(*QUICK, "--records", written_games(tmp_path, ["game-1"], engine.endpoint))
    engine.wait_for_probes(2)
    engine.become("crash")
    failed = next_document(running)
    engine.become(200)
    recovered = next_document(running)
    engine.wait_for_probes(2)
    running.terminate()
    rest, errors = running.communicate(timeout=PATIENCE)
    assert (running.returncode, rest) == (0, "")
    assert (list(failed), list(recovered)) == (FIELDS, FIELDS)
    assert (failed["id"], failed["container_id"], failed["event_type"]) == ("game-1:1", "game-1-a", "probe_failed")
    assert failed["details"] == {"consecutive_failures": 2, "last_status": 0, "last_error": "connection refused"}
    assert (recovered["id"], recovered["event_type"]) == ("game-1:2", "probe_recovered")
    assert recovered["details"]["prior_failure_count"] >= 2
    assert_told_in_the_log(documents(errors.splitlines()))


def assert_told_in_the_log(lines: list[Document]) -> None:
    """The log lines of that run: JSON with the reference's keys, ending with the figures of the whole run."""
    assert all(list(line)[:3] == ["time", "level", "msg"] for line in lines)
    published = [line for line in lines if line["msg"] == "probe event published"]
    assert [(line["worker"], line["game_id"], line["event_type"]) for line in published] == [
        ("rtmanager.healthprobe", "game-1", "probe_failed"),
        ("rtmanager.healthprobe", "game-1", "probe_recovered"),
    ]
    stopped = lines[-1]
    assert (stopped["msg"], stopped["level"]) == ("stopped", "INFO")
    assert (stopped["probe_failed"], stopped["probe_recovered"], stopped["open_incidents"]) == (1, 1, 0)
    assert stopped["probes"] == stopped["healthy"] + stopped["failed"] + stopped["inconclusive"]
    assert stopped["healthy"] >= 4
    assert stopped["failed"] >= 2
    assert 0 < stopped["probe_ms_p50"] <= stopped["probe_ms_p99"]


def test_an_event_that_was_written_but_not_published_is_published_by_the_next_run(
    program: Program, command_line: CommandLine, engine: LiveEngine, tmp_path: Path
) -> None:
    engine.become(503)
    command = (*QUICK, "--records", written_games(tmp_path, ["game-1"], engine.endpoint))
    with Path("/dev/full").open("w") as full:
        running = subprocess.Popen(
            [*PROGRAM, *command], cwd=tmp_path, env=clean_environment({}), stdout=full, stderr=subprocess.DEVNULL
        )
        wait_for_events(command_line, 1)
        running.kill()
        running.wait()
    after = program.start(*command)
    assert next_document(after)["id"] == "game-1:1"
    after.terminate()
    rest, _ = after.communicate(timeout=PATIENCE)
    assert rest == "", "what was printed and noted is not printed again by a clean stop"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_during_a_tick_ends_the_run_in_time_with_0_and_without_events(
    program: Program, command_line: CommandLine, engine: LiveEngine, tmp_path: Path, number: signal.Signals
) -> None:
    engine.become("hang")
    records = written_games(tmp_path, [f"game-{each}" for each in range(20)], engine.endpoint)
    running = program.start("run", "--records", records, "--interval", "3s", "--timeout", "2s", "--failures", "1")
    engine.wait_for_probes(3)
    asked = time.monotonic()
    running.send_signal(number)
    out, _ = running.communicate(timeout=PATIENCE)
    assert (running.returncode, out) == (0, "")
    assert time.monotonic() - asked < 2 + 2 + A_BUSY_MACHINE
    assert command_line("events").out == []


@pytest.fixture
def stuck(program: Program, command_line: CommandLine, engine: LiveEngine, tmp_path: Path) -> Started:
    """A run whose reader has gone to sleep: its pipe is full."""
    engine.become(503)
    records = written_games(tmp_path, [f"game-{each}" for each in range(MORE_THAN_A_PIPE_HOLDS)], engine.endpoint)
    quick = ("--interval", "1s", "--timeout", "500ms", "--failures", "1", "--log-level", "error")
    running = program.start("run", "--records", records, *quick)
    wait_for_events(command_line, MORE_THAN_A_PIPE_HOLDS)
    return running


def test_a_reader_that_does_not_read_delays_neither_probes_nor_the_stop(stuck: Started, engine: LiveEngine) -> None:
    engine.wait_for_probes(MORE_THAN_A_PIPE_HOLDS)
    asked = time.monotonic()
    stuck.terminate()
    assert stuck.wait(timeout=PATIENCE) == 0
    assert time.monotonic() - asked < 0.5 + 2 + A_BUSY_MACHINE


def test_a_second_signal_ends_at_once(stuck: Started) -> None:
    stuck.terminate()
    with pytest.raises(subprocess.TimeoutExpired):
        stuck.wait(timeout=0.3)
    asked = time.monotonic()
    stuck.terminate()
    assert stuck.wait(timeout=PATIENCE) == 128 + signal.SIGTERM
    assert time.monotonic() - asked < 1.2


def test_a_closed_standard_output_ends_the_run_with_one_line(
    program: Program, engine: LiveEngine, tmp_path: Path
) -> None:
    engine.become(503)
    records = written_games(tmp_path, ["game-1"], engine.endpoint)
    running = program.start(*QUICK, "--records", records, "--log-level", "error")
    next_document(running)
    assert running.stdout is not None
    assert running.stderr is not None
    running.stdout.close()
    engine.become(200)
    assert running.wait(timeout=PATIENCE) == 1
    *_, last = running.stderr.read().splitlines()
    assert last.startswith("healthprobe: stopped: every publisher is closed")


def test_variables_of_the_reference_work_and_the_descriptor_limit_is_raised(program: Program) -> None:
    running = program.start(
        "run",
        RTMANAGER_PROBE_INTERVAL="700ms",
        RTMANAGER_PROBE_TIMEOUT="300ms",
        HEALTHPROBE_TIMEOUT="200ms",
        RTMANAGER_PROBE_FAILURES_THRESHOLD="7",
    )
    started = next_log_line(running)
    assert (started["interval"], started["timeout"], started["failures"]) == ("700ms", "200ms", 7)
    limits = Path(f"/proc/{running.pid}/limits").read_text()
    [line] = [line for line in limits.splitlines() if line.startswith("Max open files")]
    soft, hard = line.split()[3:5]
    assert soft == hard
    running.terminate()
    assert running.wait(timeout=PATIENCE) == 0


@pytest.mark.proves("publisher-down")
def test_every_publisher_receives_every_event_and_one_that_is_away_delays_no_other(
    program: Program, engine: LiveEngine, tmp_path: Path
) -> None:
    records = ("--records", written_games(tmp_path, ["game-1"], engine.endpoint))
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        away = f"http://127.0.0.1:{nobody.getsockname()[1]}/hook"
        publishers = ("stdout:", "file:one.jsonl", away, "file:two.jsonl", "stdout:")
        running = program.start(*QUICK, *records, *(part for url in publishers for part in ("--publish", url)))
        engine.become(503)
        failed = next_document(running)
        engine.become(200)
        recovered = next_document(running)
        running.terminate()
        rest, errors = running.communicate(timeout=PATIENCE)
    assert (running.returncode, rest) == (0, ""), "standard output was named twice, and is one publisher"
    for name in ("one.jsonl", "two.jsonl"):
        assert documents((tmp_path / name).read_text().splitlines()) == [failed, recovered]
    stuck = [line for line in documents(errors.splitlines()) if line["msg"] == "delivery failing, will retry"]
    assert [line["publisher"] for line in stuck] == [away]


def test_the_next_run_continues_a_file_of_events(
    program: Program, command_line: CommandLine, engine: LiveEngine, tmp_path: Path
) -> None:
    command = (*QUICK, "--records", written_games(tmp_path, ["game-1"], engine.endpoint))
    for count, behaviour in enumerate((503, 200), 1):
        engine.become(behaviour)
        running = program.start(*command, HEALTHPROBE_PUBLISH="file:events.jsonl")
        wait_for_events(command_line, count)
        running.terminate()
        out, _ = running.communicate(timeout=PATIENCE)
        assert (running.returncode, out) == (0, "")
    assert (tmp_path / "events.jsonl").read_text().splitlines() == command_line("events").out


@pytest.fixture
def late_server() -> Iterator[PostgresServer]:
    """A server that is not started yet, on a port that is known already."""
    server = PostgresServer()
    with ExitStack() as stack:
        stack.push(server)
        yield server


@pytest.fixture(params=["--log", "--records"])
def needs_server(
    request: pytest.FixtureRequest, late_server: PostgresServer, engine: LiveEngine, tmp_path: Path
) -> tuple[str, ...]:
    """A run that has its log there, or one that finds its games there."""
    address = late_server.address(late_server.port, "postgres")
    if request.param == "--log":
        return (*QUICK, "--records", written_games(tmp_path, ["game-1"], engine.endpoint), "--log", address)
    query = f"SELECT 'game-1' AS game_id, '' AS current_container_id, '{engine.endpoint}' AS engine_endpoint"
    return (*QUICK, "--records", address, "--records-query", query)


def test_a_run_waits_for_its_database_and_then_begins(
    program: Program, engine: LiveEngine, late_server: PostgresServer, needs_server: tuple[str, ...]
) -> None:
    engine.become(503)
    running = program.start(*needs_server)
    waiting = [next_log_line(running)]
    with late_server:
        while (line := next_log_line(running))["msg"] == waiting[0]["msg"]:
            waiting.append(line)
        assert (line["level"], line["msg"]) == ("WARNING", "available: the run begins")
        assert next_document(running)["id"] == "game-1:1"
        running.terminate()
        assert running.wait(timeout=PATIENCE) == 0
    assert (waiting[0]["level"], waiting[0]["msg"]) == ("WARNING", "waiting for a store or a log")
    assert f"127.0.0.1:{late_server.port}" in waiting[0]["err"]
    assert "it is away" in waiting[0]["err"]
    assert len({each["err"] for each in waiting}) == len(waiting), "each reason is said once"


def test_a_run_that_waits_for_its_database_can_be_stopped(program: Program, needs_server: tuple[str, ...]) -> None:
    running = program.start(*needs_server)
    assert next_log_line(running)["msg"] == "waiting for a store or a log"
    asked = time.monotonic()
    running.terminate()
    out, errors = running.communicate(timeout=PATIENCE)
    assert (running.returncode, out, errors) == (0, "", "")
    assert time.monotonic() - asked < 0.1 + 2 + A_BUSY_MACHINE
