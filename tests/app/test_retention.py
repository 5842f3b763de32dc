"""Retention: old events are pruned, except the last of each game and those that a publisher has not received."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.support.live_engine import LiveEngine
from tests.support.program import QUICK, CommandLine, Program, documents, next_document, written_games
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import PATIENCE

from healthprobe.app.retention import Retention
from healthprobe.domain.event import HealthEvent, ProbeFailedDetails, ProbeRecoveredDetails
from healthprobe.testing.memory import InMemoryLog, InMemoryPublisher
from healthprobe.testing.stage import Stage
from healthprobe.worker.relay import Relay

HOUR, DAY = 3_600.0, 86_400.0


def aged(game_id: str, *ages: float) -> list[HealthEvent]:
    """A game's events, seen so many days ago."""
    failed, recovered = ProbeFailedDetails(3, 503, "unexpected status 503"), ProbeRecoveredDetails(3)
    now = datetime.now(UTC)
    return [
        HealthEvent(number, game_id, "c0ffee", now - timedelta(days=age), failed if number % 2 else recovered)
        for number, age in enumerate(ages, 1)
    ]


@pytest.fixture
def log() -> InMemoryLog:
    """Of two games that have long been quiet, and of one that has not."""
    return InMemoryLog(*aged("old", 300, 200, 100), *aged("once", 400), *aged("young", 91, 89, 2))


def left_in(log: InMemoryLog) -> list[str]:
    return [event.id for event in log.events]


def relay_of(log: InMemoryLog, name: str, publisher: InMemoryPublisher | None = None) -> Relay:
    return Relay(log=log, publisher=publisher or InMemoryPublisher(), name=name)


async def pruned(log: InMemoryLog, relays: Sequence[Relay] = ()) -> int:
    return await Retention(log, [relay.name for relay in relays], 90 * DAY, Stage().logger).prune()


async def test_old_events_are_pruned_except_the_last_of_each_game(log: InMemoryLog) -> None:
    assert await pruned(log) == 3
    assert left_in(log) == ["old:3", "once:1", "young:2", "young:3"]
    assert await pruned(log) == 0


async def test_events_that_every_publisher_has_received_are_pruned(log: InMemoryLog) -> None:
    relays = [relay_of(log, "bus"), relay_of(log, "webhook")]
    for relay in relays:
        await relay.drain(within=PATIENCE)
    assert await pruned(log, relays) == 3


async def test_events_that_a_publisher_has_not_received_are_kept(log: InMemoryLog) -> None:
    publisher = InMemoryPublisher()
    publisher.unavailable = True
    relays = [relay_of(log, "bus"), relay_of(log, "webhook", publisher)]
    await log.save_cursor("webhook", 1)
    for relay in relays:
        await relay.drain(within=PATIENCE)
    assert await pruned(log, relays) == 1
    assert left_in(log)[0] == "old:2"
    publisher.unavailable = False
    await relays[1].drain(within=PATIENCE)
    assert publisher.delivered_ids[0] == "old:2"
    assert await pruned(log, relays) == 2


async def test_nothing_is_pruned_before_a_publisher_has_begun(log: InMemoryLog) -> None:
    assert await pruned(log, [relay_of(log, "bus")]) == 0


async def test_events_for_a_publisher_of_another_run_are_kept_with_one_warning(
    log: InMemoryLog,
) -> None:
    stage = Stage()
    await log.save_cursor("theirs", 1)
    await log.save_cursor("ours", await log.end())
    retention = Retention(log, ["ours"], 90 * DAY, stage.logger)
    assert [await retention.prune() for _ in range(3)] == [1, 0, 0]
    (line,) = [line for line in stage.lines if line["log_level"] == "warning"]
    assert (line["publisher"], line["lag"]) == ("theirs", await log.end() - 1)
    assert "healthprobe relays --forget" in line["event"]
    await log.forget_cursor("theirs")
    assert await retention.prune() == 2


@pytest.mark.parametrize(
    ("retain", "times"), [(90 * DAY, 1), (10 * HOUR, 1), (HOUR, 10), (60.0, 600), (10.0, 3_600), (0.5, 3_600)]
)
def test_the_period_is_a_tenth_of_the_retention_from_one_second_to_one_hour(retain: float, times: int) -> None:
    async def an_hour() -> int:
        stage = Stage()
        stage.log.unavailable = True
        running = asyncio.create_task(Retention(stage.log, (), retain, stage.logger).run())
        await asyncio.wait({running}, timeout=HOUR + 0.25)
        running.cancel()
        return len(stage.lines_of("old events cannot be pruned"))

    assert in_virtual_time(an_hour()) == times


def test_a_log_that_was_away_is_pruned_in_the_next_period(log: InMemoryLog) -> None:
    async def a_morning() -> Stage:
        stage = Stage()
        log.unavailable = True
        running = asyncio.create_task(Retention(log, (), 90 * DAY, stage.logger).run())
        await asyncio.sleep(1.5 * HOUR)
        log.unavailable = False
        await asyncio.sleep(2 * HOUR)
        running.cancel()
        return stage

    lines = in_virtual_time(a_morning()).lines
    assert [(line["log_level"], line["event"]) for line in lines] == [
        ("warning", "old events cannot be pruned"),
        ("info", "old events pruned"),
    ]
    assert lines[1]["events"] == 3
    assert left_in(log) == ["old:3", "once:1", "young:2", "young:3"]


def test_a_run_prunes_its_log_and_keeps_the_state_of_each_game(
    program: Program, command_line: CommandLine, engine: LiveEngine, tmp_path: Path
) -> None:
    running = program.start(*QUICK, "--retain", "1s", "--records", written_games(tmp_path, ["game-1"], engine.endpoint))
    engine.become(503)
    next_document(running)
    engine.become(200)
    assert next_document(running)["id"] == "game-1:2"
    while [each["id"] for each in documents(command_line("events").out)] != ["game-1:2"]:
        time.sleep(0.1)
    running.terminate()
    running.communicate(timeout=PATIENCE)
    assert running.returncode == 0


@pytest.mark.parametrize("days", ["0d", "-1d", "90", "soon"])
def test_an_invalid_retention_is_refused(command_line: CommandLine, days: str) -> None:
    told = command_line("run", "--retain", days)
    assert (told.code, len(told.err)) == (2, 1)
    assert f"--retain: '{days}'" in told.err[0]
