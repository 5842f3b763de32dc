"""Open incidents in the SQL log: their cost is that of the games, and not of their history."""

from __future__ import annotations

import time

import pytest
from sqlalchemy import Connection
from sqlalchemy.dialects import sqlite

from healthprobe.adapters.sql import SqlDatabase, SqlLog
from healthprobe.adapters.sql.open_incidents import _OPEN
from healthprobe.ports import LogError
from healthprobe.testing.contracts.samples import failed, history

GAMES = 100_000
SECONDS = 8.0
"""It takes about one."""


@pytest.mark.slow
async def test_the_open_incidents_of_a_hundred_thousand_games_are_found_well_within_the_timeout_of_a_read(
    url: str,
) -> None:
    database = await SqlDatabase.open(url)
    try:
        log = SqlLog(database)
        for first in range(0, GAMES, 5_000):
            games = range(first, first + 5_000)
            await log.append(
                [event for game in games for event in history(f"game-{game}", 1 if game % 100 == 0 else 2)]
            )
        begun = time.perf_counter()
        found = await log.open_incidents()
        assert time.perf_counter() - begun < SECONDS
    finally:
        await database.aclose()
    assert found == {f"game-{game}": failed(f"game-{game}", 1) for game in range(0, GAMES, 100)}


async def test_no_history_is_read_from_its_beginning_to_its_end(database: SqlDatabase) -> None:
    """Each step of SQLite's plan is a search in an index, besides the passes over what was found."""
    statement = _OPEN["sqlite"].compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True})

    def plan_of(connection: Connection) -> list[str]:
        return [str(row.detail) for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}")]

    plan = await database.read(plan_of, LogError)
    assert len([step for step in plan if step.startswith("SEARCH")]) >= 4
    assert [step for step in plan if step.startswith("SCAN") and step != "SCAN games"] == []
