"""The status of a run: incidents from the log, the trouble of the prober itself, and changes as they happen."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from tests.support.waiting import PATIENCE
from tests.telemetry.metrics.monitored_worker import MonitoredWorker

from healthprobe.domain.alarms.gone import GONE, GoneIncident
from healthprobe.domain.fleet_status import Condition
from healthprobe.domain.outcome import HEALTHY
from healthprobe.status import run_status
from healthprobe.status.cells import Delta
from healthprobe.testing.contracts.samples import failed, recovered
from healthprobe.testing.leases import ALL_SHARDS, ScriptedLeases
from healthprobe.testing.prober import UNAVAILABLE
from healthprobe.testing.stage import game, run_for, ticks

A_MOMENT = 0.3


async def refreshed(monitored: MonitoredWorker) -> MonitoredWorker:
    await asyncio.sleep(A_MOMENT)
    await monitored.status.refresh()
    return monitored


async def test_an_incident_lasts_from_probe_failed_to_probe_recovered() -> None:
    monitored = MonitoredWorker({"a": [UNAVAILABLE, UNAVAILABLE, UNAVAILABLE, HEALTHY], "b": HEALTHY})
    await ticks(monitored.worker, 3)
    await refreshed(monitored)
    assert list(monitored.status.incidents.open) == ["a"]
    assert [outage.game_id for outage in monitored.status.outages] == ["a"]
    await ticks(monitored.worker, 1)
    await refreshed(monitored)
    assert not monitored.status.incidents.open
    assert [each.game_id for each in monitored.status.incidents.ended] == ["a"]
    assert monitored.status.cells.count_of(Condition.HEALTHY) == 2


async def test_an_incident_that_began_before_the_part_of_the_log_that_is_read_is_looked_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("healthprobe.status.incidents._TAIL", 2)
    monitored = MonitoredWorker({"old": UNAVAILABLE})
    monitored.stage.log.write(failed("old", 1), failed("x", 1), recovered("x", 2), failed("y", 1))
    await ticks(monitored.worker, 1)
    await refreshed(monitored)
    assert monitored.status.incidents.open["old"] == failed("old", 1)


async def test_an_incident_of_a_game_that_is_gone_has_ended_and_goes_on_if_the_game_is_listed_again() -> None:
    monitored = MonitoredWorker({"a": UNAVAILABLE})
    await ticks(monitored.worker, 3)
    await refreshed(monitored)
    monitored.stage.records.remove("a")
    await ticks(monitored.worker, 2)
    await refreshed(monitored)
    assert list(monitored.status.incidents.open) == ["a"]
    assert monitored.status.diagnosis().summary == "No game is running."
    await ticks(monitored.worker, 1)
    await refreshed(monitored)
    assert not monitored.status.incidents.open
    [ended] = monitored.status.incidents.ended
    assert (ended.recovered, ended.gone_at) == (None, monitored.stage.clock.now())
    monitored.stage.records.put(game("a"))
    await ticks(monitored.worker, 1)
    await refreshed(monitored)
    assert list(monitored.status.incidents.open) == ["a"]
    assert not monitored.status.incidents.ended


async def test_the_end_is_shown_as_it_was_noted_beside_the_log() -> None:
    monitored = MonitoredWorker({"b": HEALTHY})
    monitored.stage.log.write(failed("a", 1))
    note = GoneIncident("a", 1, monitored.stage.clock.now() - timedelta(hours=1))
    await monitored.stage.log.put_documents(GONE, {note.key: note.as_document(), "altered": "{"})
    await ticks(monitored.worker, 3)
    await refreshed(monitored)
    assert [each.gone_at for each in monitored.status.incidents.ended] == [note.gone_at]


async def test_the_summary_says_which_part_of_the_fleet_is_watched_here() -> None:
    leases = ScriptedLeases([*range(255)])
    monitored = MonitoredWorker({"a": HEALTHY, "b": HEALTHY}, shards=leases)
    await ticks(monitored.worker, 1)
    await refreshed(monitored)
    assert monitored.status.diagnosis().summary == "All 2 engines answer; watched here are 255 of 256 shards."
    leases.give(255)
    await ticks(monitored.worker, 1)
    await refreshed(monitored)
    assert monitored.status.diagnosis().summary == "All 2 engines answer."


async def test_an_instance_that_lost_its_cluster_is_in_trouble_once_it_has_lost_its_shards() -> None:
    leases = ScriptedLeases()
    monitored = MonitoredWorker({"a": HEALTHY}, shards=leases)
    await ticks(monitored.worker, 1)
    leases.unavailable_for = 20.0
    assert monitored.status.trouble is None
    leases.lose(*ALL_SHARDS)
    await ticks(monitored.worker, 1)
    await refreshed(monitored)
    trouble = "its cluster has been unavailable for 20s, so it has no shards to probe"
    assert monitored.status.trouble == trouble
    assert monitored.status.diagnosis().summary == f"The prober itself is in trouble: {trouble}."
    leases.unavailable_for = 0.0
    assert monitored.status.trouble is None


async def test_an_event_that_waits_for_the_log_longer_than_three_intervals_is_trouble_with_its_cause() -> None:
    monitored = MonitoredWorker({"a": UNAVAILABLE, "b": [HEALTHY, HEALTHY, HEALTHY, UNAVAILABLE]})
    await ticks(monitored.worker, 3)
    await refreshed(monitored)
    monitored.stage.log.unavailable = True
    working = asyncio.create_task(run_for(60.0, monitored.worker.run()))
    await asyncio.sleep(25)
    await refreshed(monitored)
    assert list(monitored.status.incidents.open) == ["a"]
    assert monitored.status.trouble is None
    await asyncio.sleep(5)
    assert monitored.status.trouble == (
        "its log has taken nothing for 18s, and 1 event waits for it: it was switched off; switch it on again"
    )
    assert monitored.status.diagnosis().summary == f"The prober itself is in trouble: {monitored.status.trouble}."
    monitored.stage.log.unavailable = False
    await asyncio.sleep(20)
    assert monitored.status.trouble is None
    await working


async def test_a_prober_whose_tick_is_late_by_two_intervals_is_in_trouble() -> None:
    monitored = MonitoredWorker({"a": HEALTHY})
    assert monitored.status.trouble is None, "it has not begun"
    await run_for(7.0, monitored.worker.run())
    assert monitored.status.trouble is None
    await asyncio.sleep(15.0)
    assert monitored.status.trouble is not None
    assert monitored.status.trouble.startswith("its tick is late by 1")


async def test_a_change_is_streamed_within_about_a_second() -> None:
    monitored = MonitoredWorker({"a": [HEALTHY, HEALTHY, UNAVAILABLE]}, failures_threshold=1)
    seeing = asyncio.create_task(monitored.status.run())
    working = asyncio.create_task(run_for(16.0, monitored.worker.run()))
    deltas: list[Delta] = []
    async with asyncio.timeout(PATIENCE):
        async for delta in monitored.status.deltas(0):
            if delta is not None:
                deltas.append(delta)
                if 0 in delta.changed.values():
                    break
    decided = (monitored.stage.log.events[0].occurred_at - monitored.status.started_at).total_seconds()
    assert monitored.stage.clock.monotonic() - decided < 2 * run_status.REFRESH_INTERVAL
    assert deltas[0].added == [(0, "a", "127.0.0.1")]
    await working
    seeing.cancel()


@pytest.mark.proves("stream-away")
async def test_a_stream_that_is_too_far_behind_ends() -> None:
    monitored = MonitoredWorker({"a": [HEALTHY, UNAVAILABLE] * 200}, failures_threshold=1)
    for _ in range(150):
        await ticks(monitored.worker, 1)
        await refreshed(monitored)
    assert [delta async for delta in monitored.status.deltas(3)] == []
