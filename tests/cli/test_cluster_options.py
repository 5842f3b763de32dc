"""`run --shard`: instances with `--shard 1/2` and `--shard 2/2` probe every game once."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.live_engine import LiveEngine
from tests.support.program import QUICK, CommandLine, Program, documents, next_document, written_games
from tests.support.waiting import PATIENCE

GAMES = [f"game-{number}" for number in range(40)]


def test_two_parts_publish_every_event_once_and_the_first_delivers(
    program: Program, command_line: CommandLine, engine: LiveEngine, tmp_path: Path
) -> None:
    records = written_games(tmp_path, GAMES, engine.endpoint)
    parts = [program.start(*QUICK, "--records", records, "--shard", f"{number}/2") for number in (1, 2)]
    engine.wait_for_probes(2 * len(GAMES))
    engine.become(503)
    told = sorted(next_document(parts[0])["id"] for _ in GAMES)
    assert told == sorted(f"{game}:1" for game in GAMES)
    for part in parts:
        part.terminate()
    (first, _), (second, _) = (part.communicate(timeout=PATIENCE) for part in parts)
    assert (parts[0].returncode, parts[1].returncode, first, second) == (0, 0, "", "")
    assert sorted(event["id"] for event in documents(command_line("events", "--json").out)) == told


def test_the_games_of_a_missing_part_are_not_probed(
    program: Program, command_line: CommandLine, engine: LiveEngine, tmp_path: Path
) -> None:
    running = program.start(*QUICK, "--records", written_games(tmp_path, GAMES, engine.endpoint), "--shard=2/2")
    engine.wait_for_probes(2 * len(GAMES))
    engine.become(503)
    engine.wait_for_probes(4 * len(GAMES))
    running.terminate()
    assert running.communicate(timeout=PATIENCE)[0] == ""
    told = {event["game_id"] for event in documents(command_line("events", "--json").out)}
    assert 0 < len(told) < len(GAMES)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--shard", "3/2"], "--shard: 3/2 is no part of a fleet: write one such as 2/5, in at most 256 parts"),
        (["--shard", "two"], "--shard: 'two' is no part of a fleet: write one such as 2/5"),
        (["--cluster", "redis://h"], "--cluster names no NATS cluster: write one such as nats://USER:PASSWORD@HOST,"),
        (["--cluster", "h:4222"], "--cluster names no NATS cluster: write one such as nats://USER:PASSWORD@HOST,"),
        (["--cluster", ""], "--cluster names no NATS cluster: write one such as nats://USER:PASSWORD@HOST,"),
        (
            ["--cluster", "nats://h", "--log", "sqlite:x.db"],
            "--log: the log of a cluster is in its JetStream; leave out --log or --cluster",
        ),
        (
            ["--cluster", "nats://h", "--shard", "1/2"],
            "--shard: a cluster shares its shards by itself; leave out --shard or --cluster",
        ),
        (["--lease", "5s"], "--lease is for a cluster: leave it out, or add --cluster"),
        (
            ["--cluster", "nats://h", "--lease", "500ms"],
            "--lease 500ms is shorter than 1s: a short network delay would lose it",
        ),
    ],
)
def test_contradicting_cluster_options_are_refused_in_one_line(
    command_line: CommandLine, arguments: list[str], message: str
) -> None:
    refused = command_line("run", *arguments)
    assert (refused.code, refused.out) == (2, [])
    assert len(refused.err) == 1
    assert message in refused.err[0]
