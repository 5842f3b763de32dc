"""`relays`: the lag of each publisher, and forgetting a publisher."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.support.program import CommandLine, documents
from tests.support.terminal_session import OpenTerminal, assert_readable
from tests.support.watched_run import WatchedRun

from healthprobe.adapters.sql import SqlDatabase, SqlLog
from healthprobe.domain.outcome import HEALTHY
from healthprobe.ports import DeadLetter
from healthprobe.testing.contracts.samples import FIRST_SECOND, failed, history

GONE = "https://gone.example/hook"


@pytest.fixture
def behind(tmp_path: Path) -> None:
    """A log of four events, of which one publisher has had all, and another one and has refused one."""

    async def make() -> None:
        database = await SqlDatabase.open(f"sqlite:{tmp_path / 'healthprobe.db'}")
        log = SqlLog(database)
        await log.append(history("game-7", 4))
        await log.save_cursor("stdout:", 4)
        await log.save_cursor(GONE, 1)
        await log.park(DeadLetter(GONE, failed("game-7", 1), "webhook answered 410", FIRST_SECOND))
        await database.aclose()

    asyncio.run(make())


@pytest.mark.usefixtures("behind")
def test_publishers_with_the_most_lag_come_first(command_line: CommandLine) -> None:
    assert documents(command_line("relays").out) == [
        {"publisher": GONE, "lag": 3, "dead_letters": 1, "error": None},
        {"publisher": "stdout:", "lag": 0, "dead_letters": 0, "error": None},
    ]


@pytest.mark.usefixtures("behind")
def test_the_run_says_why_delivery_fails_now(command_line: CommandLine) -> None:
    with WatchedRun({"a": HEALTHY}) as run:
        run.histories.record_delivery(GONE, "webhook answered 401: token expired", "401")
        run.histories.record_delivery("elsewhere", "not of this log")
        assert [each["error"] for each in documents(command_line("relays", "--at", run.at).out)] == [
            "webhook answered 401: token expired",
            None,
        ]
    assert command_line("relays", "--at", run.at).code == 2


@pytest.mark.usefixtures("behind")
def test_people_see_a_table(terminal: OpenTerminal) -> None:
    shown = terminal("relays")
    assert shown.end() == 0
    assert_readable(shown)
    assert f" {GONE}            3              1".split() == next(line for line in shown.lines if GONE in line).split()


@pytest.mark.usefixtures("behind")
def test_a_forgotten_publisher_keeps_its_dead_letters(command_line: CommandLine) -> None:
    assert command_line("relays", "--forget", GONE).code == 0
    assert documents(command_line("relays").out)[0] == {"publisher": GONE, "lag": 0, "dead_letters": 1, "error": None}
    again = command_line("relays", "--forget", GONE)
    assert (again.code, len(again.err)) == (1, 1)
    assert "healthprobe relays lists them" in again.err[0]
