"""`report`: the availability of games from a log."""

from __future__ import annotations

import asyncio
import csv
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.support.program import CommandLine, documents

from healthprobe.adapters.sql import SqlDatabase, SqlLog
from healthprobe.cli.report import rows_of
from healthprobe.domain.event import Details, HealthEvent, ProbeFailedDetails, ProbeRecoveredDetails
from healthprobe.domain.incident import incidents
from healthprobe.domain.watch import WatchedTime

NOW = datetime.now(UTC)
REFUSED = ProbeFailedDetails(3, 0, "connection refused")
RECOVERED = ProbeRecoveredDetails(5)
NONE: Mapping[str, str] = {}


def event(game_id: str, sequence: int, ago: float, details: Details, labels: Mapping[str, str] = NONE) -> HealthEvent:
    """Returns an event that occurred `ago` minutes before now."""
    return HealthEvent(sequence, game_id, "c", NOW - timedelta(minutes=ago), details, labels=labels)


EVENTS = [
    event("a", 1, 100, REFUSED, {"team": "eu"}),
    event("b", 1, 90, REFUSED, {"team": "us"}),
    event("a", 2, 80, RECOVERED, {"team": "eu"}),
    event("b", 2, 60, RECOVERED, {"team": "us"}),
    event("c", 1, 50, REFUSED),
    event("c", 2, 40, RECOVERED),
    event("old", 1, 10_000, REFUSED, {"team": "eu"}),
    event("old", 2, 9_000, RECOVERED, {"team": "eu"}),
]
HOURS = 3600.0
WINDOW = (NOW.timestamp() - 2 * HOURS, NOW.timestamp())
ALL_THE_TIME = WatchedTime({"": ((0.0, 1e11),)})


def test_each_game_with_an_incident_has_a_row_the_longest_down_first_and_all_of_them_one() -> None:
    rows = rows_of(incidents(EVENTS), ALL_THE_TIME, WINDOW)
    assert [(row.kind, row.name, row.games, row.figures.down_s) for row in rows] == [
        ("game", "b", 1, 1800),
        ("game", "a", 1, 1200),
        ("game", "c", 1, 600),
        ("all", "", 3, 3600),
    ]
    assert rows[0].as_document() == {
        "kind": "game",
        "name": "b",
        "games": 1,
        "incidents": 1,
        "down_s": 1800.0,
        "longest_s": 1800.0,
        "mttr_s": 1800.0,
        "mtbf_s": 5400.0,
        "availability_percent": 75.0,
        "up_s": 5400.0,
        "unwatched_s": 0.0,
        "unwatched_percent": 0.0,
    }


def test_games_are_added_up_by_a_label_and_those_without_it_are_a_group_too() -> None:
    rows = rows_of(incidents(EVENTS), ALL_THE_TIME, WINDOW, by="team")
    groups = [(row.name, row.games, row.figures.down_s) for row in rows if row.kind == "group"]
    assert groups == [("", 1, 600), ("eu", 1, 1200), ("us", 1, 1800)]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    async def write() -> None:
        database = await SqlDatabase.open(f"sqlite:{tmp_path / 'healthprobe.db'}")
        try:
            await SqlLog(database).append(EVENTS)
        finally:
            await database.aclose()

    asyncio.run(write())
    return tmp_path / "healthprobe.db"


@pytest.mark.usefixtures("log")
def test_without_a_note_that_anybody_watched_nothing_counts_as_up(command_line: CommandLine) -> None:
    rows = documents(command_line("report", "--since", "2h").out)
    assert [(row["name"], row["availability_percent"], row["up_s"]) for row in rows[:2]] == [("b", 0, 0), ("a", 0, 0)]
    assert rows[0]["unwatched_percent"] == pytest.approx(75, abs=0.1)


@pytest.mark.usefixtures("log")
def test_the_report_is_csv_too(command_line: CommandLine) -> None:
    told = command_line("report", "--since", "30d", "--by", "team", "--csv")
    rows = list(csv.DictReader(told.out))
    assert [(row["kind"], row["name"]) for row in rows] == [
        ("game", "old"),
        ("game", "b"),
        ("game", "a"),
        ("game", "c"),
        ("group", ""),
        ("group", "eu"),
        ("group", "us"),
        ("all", ""),
    ]


@pytest.mark.usefixtures("log")
@pytest.mark.parametrize(
    ("wrong", "advice"), [(["--since", "5"], "has no unit"), (["--csv", "--json"], "leave one of them out")]
)
def test_a_wrong_option_is_named_with_what_to_write(command_line: CommandLine, wrong: list[str], advice: str) -> None:
    told = command_line("report", *wrong)
    assert (told.code, told.out, len(told.err)) == (2, [], 1)
    assert advice in told.err[0]
