"""`GET /api/availability`: the last 30 days of one game."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.telemetry.metrics.monitored_worker import MonitoredWorker
from tests.web.client import app_of, get, get_json

from healthprobe.domain.alarms.gone import GONE, GoneIncident
from healthprobe.domain.event import HealthEvent, ProbeFailedDetails, ProbeRecoveredDetails
from healthprobe.domain.outcome import HEALTHY
from healthprobe.domain.watch import WATCH, WatchedTime
from healthprobe.status import past_incidents

DAY = 86_400.0
REFUSED = ProbeFailedDetails(3, 0, "connection refused")


@pytest.fixture
async def monitored() -> MonitoredWorker:
    return MonitoredWorker({"a": HEALTHY})


def write(monitored: MonitoredWorker, *incidents: tuple[float, float | None]) -> None:
    """Writes incidents of game a, each from and to so many seconds ago."""
    now = monitored.stage.clock.now()
    for number, (began, ended) in enumerate(incidents):
        monitored.stage.log.write(HealthEvent(2 * number + 1, "a", "c", now - timedelta(seconds=began), REFUSED))
        if ended is not None:
            up = ProbeRecoveredDetails(3)
            monitored.stage.log.write(HealthEvent(2 * number + 2, "a", "c", now - timedelta(seconds=ended), up))


async def watch(monitored: MonitoredWorker, days: float) -> None:
    now = monitored.stage.clock.now().timestamp()
    await monitored.stage.log.put_documents(WATCH, {"run": WatchedTime({"": ((now - days * DAY, now),)}).as_document()})


async def test_a_game_has_its_figures_and_thirty_days(monitored: MonitoredWorker) -> None:
    write(monitored, (40 * DAY, 39 * DAY), (2.5 * DAY, 2.5 * DAY - 600))
    await watch(monitored, 10)
    found = await get_json(monitored, "/api/availability?game=a")
    assert (found["incidents"], found["down_s"], found["mttr_s"]) == (1, 600, 600)
    assert found["up_s"] == pytest.approx(10 * DAY - 600)
    assert found["unwatched_s"] == pytest.approx(20 * DAY)
    assert found["availability_percent"] == pytest.approx(100 * (1 - 600 / (10 * DAY)), abs=1e-4)
    days = found["days"]
    assert [round(day["up_s"] / DAY) for day in days] == [0] * 20 + [1] * 10
    assert [number for number, day in enumerate(days) if day["down_s"]] == [27]


async def test_new_events_and_notes_show_at_the_next_question(monitored: MonitoredWorker) -> None:
    await watch(monitored, 30)
    assert (await get_json(monitored, "/api/availability?game=a"))["availability_percent"] == 100
    write(monitored, (3 * DAY, None))
    assert (await get_json(monitored, "/api/availability?game=a"))["availability_percent"] == pytest.approx(90)
    note = GoneIncident("a", 1, monitored.stage.clock.now() - timedelta(days=2))
    await monitored.stage.log.put_documents(GONE, {note.key: note.as_document()})
    found = await get_json(monitored, "/api/availability?game=a")
    assert [found[part] / DAY for part in ("up_s", "down_s", "unwatched_s")] == pytest.approx([27, 1, 2])


async def test_a_game_without_events_was_up_while_it_was_watched(monitored: MonitoredWorker) -> None:
    found = await get_json(monitored, "/api/availability?game=never-heard-of")
    assert (found["incidents"], found["availability_percent"], found["unwatched_percent"]) == (0, None, 100)


async def test_of_a_very_long_log_the_newest_part_answers_and_says_since_when(
    monitored: MonitoredWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(past_incidents, "MOST_EVENTS", 2)
    write(monitored, (20 * DAY, 19 * DAY), (10 * DAY, 9 * DAY))
    found = await get_json(monitored, "/api/availability?game=a")
    assert found["incidents"] == 1
    assert sum(day["up_s"] + day["down_s"] + day["unwatched_s"] for day in found["days"]) == pytest.approx(10 * DAY)


async def test_a_log_that_is_away_is_named(monitored: MonitoredWorker) -> None:
    monitored.stage.log.unavailable = True
    answer = await get(app_of(monitored), "/api/availability?game=a")
    assert answer.status_code == 503
    assert "the log is unavailable" in answer.text
