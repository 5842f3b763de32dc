"""`cluster`: real instances on a real server, how they are shown, and how their shards move."""

from __future__ import annotations

import io
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from rich.console import Console
from tests.servers import nats_fixtures
from tests.support.few_instances import JOINED, FewInstances
from tests.support.live_engine import LiveEngine
from tests.support.program import (
    CommandLine,
    Document,
    Program,
    Started,
    documents,
    next_document,
    next_log_line,
    written_games,
)
from tests.support.terminal_session import OpenTerminal

from healthprobe.cli.cluster import cluster_table, differing_options

nats_server = nats_fixtures.nats_server
prefix = nats_fixtures.prefix
nats_url = nats_fixtures.nats_url

GAMES = [f"game-{number}" for number in range(30)]
PATIENCE = 60.0
STEADY = ("run", "--interval", "400ms", "--timeout", "300ms", "--failures", "2")
"""The engine is in our own process, which has more to do: it is to be given its time."""

Instances = Callable[[], list[Document]]


@pytest.fixture
def start(engine: LiveEngine, program: Program, nats_url: str, tmp_path: Path) -> Callable[..., Started]:
    """Starts one more instance, with these arguments besides."""
    records = written_games(tmp_path, GAMES, engine.endpoint)
    return lambda *more: program.start(*STEADY, "--cluster", nats_url, "--lease", "1s", "--records", records, *more)


@pytest.fixture
def instances(command_line: CommandLine, nats_url: str) -> Instances:
    """What `healthprobe cluster` tells now."""
    return lambda: documents(command_line("cluster", "--cluster", nats_url, "--json").out)


def wait_for_shares(instances: Instances, *shares: int) -> list[Document]:
    """Wait until so many instances hold so many shards each, and say that they watch the games of these."""
    deadline = time.monotonic() + PATIENCE
    while True:
        found = instances()
        are_shared = sorted(len(each["shards"]) for each in found) == sorted(shares)
        if are_shared and sum(each["games"] for each in found) == len(GAMES):
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.05)


def test_instances_share_the_fleet_and_publish_each_transition_once(
    start: Callable[[], Started], instances: Instances, command_line: CommandLine, engine: LiveEngine, nats_url: str
) -> None:
    running = [start(), start()]
    found = wait_for_shares(instances, 128, 128)
    assert sum(each["games"] for each in found) == len(GAMES)
    assert [each["duties"] for each in found].count(["relay"]) == 1
    engine.become(503)
    deliverer = next(each["pid"] for each in found if each["duties"])
    [first] = [each for each in running if each.pid == deliverer]
    told = [next_document(first) for _ in GAMES]
    assert sorted(event["game_id"] for event in told) == sorted(GAMES)
    log = documents(command_line("events", "--log", nats_url, "--json").out)
    assert log == told
    for each in running:
        each.terminate()
    assert [each.communicate(timeout=PATIENCE)[0] for each in running] == ["", ""]
    assert [each.returncode for each in running] == [0, 0]


def test_the_shards_of_an_instance_that_is_killed_or_stopped_go_to_the_others(
    start: Callable[[], Started], instances: Instances, command_line: CommandLine, engine: LiveEngine, nats_url: str
) -> None:
    killed, stopped, last = start(), start(), start()
    wait_for_shares(instances, 86, 85, 85)
    killed.kill()
    wait_for_shares(instances, 128, 128)
    stopped.terminate()
    [left] = wait_for_shares(instances, 256)
    deadline = time.monotonic() + PATIENCE
    while not left["duties"]:  # they are handed over by themselves, and may come after the last shard
        assert time.monotonic() < deadline
        [left] = instances()
    assert (left["pid"], left["games"], left["duties"]) == (last.pid, len(GAMES), ["relay"])
    assert left["last_takeover"]["shards"] >= 120
    engine.become(503)
    deadline = time.monotonic() + PATIENCE
    while len(told := documents(command_line("events", "--log", nats_url, "--json").out)) < len(GAMES):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert sorted(event["id"] for event in told) == sorted(f"{game}:1" for game in GAMES)


def test_an_instance_whose_output_is_not_read_still_takes_over(
    start: Callable[[], Started], instances: Instances
) -> None:
    unread, killed = start(), start()
    wait_for_shares(instances, 128, 128)
    assert unread.stderr is not None
    unread.stderr.close()
    killed.kill()
    [left] = wait_for_shares(instances, 256)
    assert left["pid"] == unread.pid


def test_shards_without_an_owner_are_one_line_and_exit_1(
    start: Callable[[], Started], instances: Instances, command_line: CommandLine, nats_url: str
) -> None:
    command_line("cluster", "--cluster", nats_url)
    assert (command_line.code, command_line.out) == (1, [])
    assert command_line.err == ["healthprobe: 256 of 256 shards have no owner; no instance is running"]
    start()
    wait_for_shares(instances, 256)
    assert (command_line.code, command_line.err) == (0, [])


def test_a_cluster_keeps_the_number_of_shards_that_it_was_made_with(
    program: Program, command_line: CommandLine, engine: LiveEngine, nats_url: str, tmp_path: Path
) -> None:
    records = written_games(tmp_path, GAMES, engine.endpoint)
    first = program.start(*STEADY, "--cluster", f"{nats_url}&shards=4", "--lease", "1s", "--records", records)
    instances = lambda: documents(command_line("cluster", "--cluster", nats_url, "--json").out)  # noqa: E731
    wait_for_shares(instances, 4)
    engine.become(503)
    told = [next_document(first) for _ in GAMES]
    assert sorted(event["game_id"] for event in told) == sorted(GAMES)
    first.terminate()
    assert first.wait(timeout=PATIENCE) == 0
    command_line("cluster", "--cluster", nats_url)
    assert command_line.err == ["healthprobe: 4 of 4 shards have no owner; no instance is running"]
    command_line(*STEADY, "--cluster", f"{nats_url}&shards=5", "--records", records)
    assert command_line.code == 2
    assert "its log was created with 4 shards, which cannot change" in command_line.err[-1]


def test_an_instance_with_another_rule_is_reported(start: Callable[..., Started], instances: Instances) -> None:
    start()
    wait_for_shares(instances, 256)
    other = start("--confirm", "50ms")
    started = next_log_line(other)
    assert (started["msg"], started["lease"]) == ("started", "1s")
    assert started["cluster"].startswith("nats://127.0.0.1:")
    while (line := next_log_line(other))["msg"] != "another instance was started with other options":
        pass
    options = "--interval 400ms --timeout 300ms --failures 2"
    assert line["theirs"].endswith(f" {options} --publish stdout:")
    assert line["ours"].endswith(f" {options} --confirm 50ms --publish stdout:")


def test_an_instance_with_other_records_is_reported(
    start: Callable[..., Started],
    instances: Instances,
    command_line: CommandLine,
    nats_url: str,
    tmp_path: Path,
) -> None:
    start()
    wait_for_shares(instances, 256)
    others = tmp_path / "others.json"
    others.write_text("[]")
    other = start("--records", f"file:{others}")
    while (line := next_log_line(other))["msg"] != "another instance was started with other options":
        pass
    assert line["ours"].startswith(f"--records file:{others} ")
    assert line["theirs"].startswith("--records file:")
    told = command_line("cluster", "--cluster", nats_url).err
    assert len([line for line in told if " was started with --records file:" in line]) == 1


def test_people_see_a_table(
    start: Callable[[], Started], instances: Instances, terminal: OpenTerminal, nats_url: str
) -> None:
    start()
    wait_for_shares(instances, 256)
    shown = terminal("cluster", "--cluster", nats_url)
    shown.read_until("start")
    heading, _, row = [line for line in shown.lines if line.strip()][:3]
    assert heading.split() == ["instance", "up", "shards", "games", "renewed", "relay", "last", "takeover"]
    assert " 256 " in row
    assert " 30 " in row
    assert max(len(line) for line in shown.lines) <= 80


def test_the_options_that_differ_from_most_instances_are_reported() -> None:
    usual = "--records nats:games --interval 5s --publish stdout:"
    found = [replace(each, rule=usual) for each in FewInstances().instances]
    assert differing_options(found) == []
    found[1] = replace(found[1], rule="--records nats:others --interval 5s --hold 50% --publish stdout:")
    found[2] = replace(found[2], rule="")
    (told,) = differing_options([found[0], *found])
    assert told == (
        "node-b-9-decaf0 was started with --records nats:others --hold 50%; others have --records nats:games: "
        "give all of them the same"
    )
    assert differing_options([]) == []


def test_a_blind_instance_is_marked_in_the_table() -> None:
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(cluster_table(FewInstances().instances, JOINED + timedelta(hours=1)))
    rows = [line for line in console.export_text().splitlines() if "node-" in line]
    assert ["is blind" in row for row in rows] == [False, False, True]
    assert "43 expired 30m00s ago" in rows[0]


def test_a_narrow_window_has_fewer_columns_and_names_on_one_line() -> None:
    console = Console(width=50, record=True, file=io.StringIO())
    console.print(cluster_table(FewInstances().instances, JOINED, console.width))
    heading, _, *rows = [line for line in console.export_text().splitlines() if line.strip()]
    assert heading.split() == ["instance", "shards", "games", "relay"]
    assert [row.split()[0] for row in rows[:2]] == ["node-a-17-c0ffee", "node-b-9-decaf0"]


def test_a_run_that_waits_for_a_cluster_can_be_stopped(program: Program, tmp_path: Path) -> None:
    running = program.start(*STEADY, "--cluster", "nats://127.0.0.1:9", "--records", written_games(tmp_path, [], "h"))
    assert running.stderr is not None
    assert "127.0.0.1:9" in running.stderr.readline()
    running.send_signal(signal.SIGTERM)
    assert running.communicate(timeout=PATIENCE)[0] == ""
    assert running.returncode == 0
