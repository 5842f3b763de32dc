"""The status of a run: incidents from the log, the trouble of the prober itself, and changes as they happen."""

from __future__ import annotations

import asyncio
import re

import pytest
from tests.support.waiting import PATIENCE
from tests.telemetry.metrics.scene import Scene

from healthprobe.domain.fleet_status import Condition
from healthprobe.domain.outcome import HEALTHY
from healthprobe.status import run_status
from healthprobe.status.cells import Delta
from healthprobe.testing.contracts.samples import failed, recovered
from healthprobe.testing.leases import ALL_SHARDS, ScriptedLeases
from healthprobe.testing.prober import UNAVAILABLE
from healthprobe.testing.stage import run_for, ticks

A_MOMENT = 0.3


async def refreshed(scene: Scene) -> Scene:
    await asyncio.sleep(A_MOMENT)
    await scene.status.refresh()
    return scene


async def test_an_incident_lasts_from_probe_failed_to_probe_recovered() -> None:
    scene = Scene({"a": [UNAVAILABLE, UNAVAILABLE, UNAVAILABLE, HEALTHY], "b": HEALTHY})
    await ticks(scene.worker, 3)
    await refreshed(scene)
    assert list(scene.status.incidents.open) == ["a"]
    assert [outage.game_id for outage in scene.status.outages] == ["a"]
    await ticks(scene.worker, 1)
    await refreshed(scene)
    assert not scene.status.incidents.open
    assert [each.game_id for each in scene.status.incidents.ended] == ["a"]
    assert scene.status.cells.count_of(Condition.HEALTHY) == 2


async def test_an_incident_that_began_before_the_part_of_the_log_that_is_read_is_looked_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("healthprobe.status.incidents._TAIL", 2)
    scene = Scene({"old": UNAVAILABLE})
    scene.stage.log.write(failed("old", 1), failed("x", 1), recovered("x", 2), failed("y", 1))
    await ticks(scene.worker, 1)
    await refreshed(scene)
    assert scene.status.incidents.open["old"] == failed("old", 1)


async def test_an_incident_of_a_game_that_has_left_is_not_shown() -> None:
    scene = Scene({"a": UNAVAILABLE})
    await ticks(scene.worker, 3)
    await refreshed(scene)
    scene.stage.records.remove("a")
    await ticks(scene.worker, 1)
    await refreshed(scene)
    assert not scene.status.incidents.open
    assert scene.status.diagnosis().summary == "No game is running."


async def test_the_summary_says_which_part_of_the_fleet_is_watched_here() -> None:
    leases = ScriptedLeases([*range(255)])
    scene = Scene({"a": HEALTHY, "b": HEALTHY}, shards=leases)
    await ticks(scene.worker, 1)
    await refreshed(scene)
    assert scene.status.diagnosis().summary == "All 2 engines answer; watched here are 255 of 256 shards."
    leases.give(255)
    await ticks(scene.worker, 1)
    await refreshed(scene)
    assert scene.status.diagnosis().summary == "All 2 engines answer."


async def test_an_instance_that_lost_its_cluster_is_in_trouble_once_it_has_lost_its_shards() -> None:
    leases = ScriptedLeases()
    scene = Scene({"a": HEALTHY}, shards=leases)
    await ticks(scene.worker, 1)
    leases.unavailable_for = 20.0
    assert scene.status.trouble is None
    leases.lose(*ALL_SHARDS)
    await ticks(scene.worker, 1)
    await refreshed(scene)
    trouble = "its cluster has been unavailable for 20s, so it has no shards to probe"
    assert scene.status.trouble == trouble
    assert scene.status.diagnosis().summary == f"The prober itself is in trouble: {trouble}."
    leases.unavailable_for = 0.0
    assert scene.status.trouble is None


async def test_incidents_stay_while_the_log_is_unavailable_which_is_trouble_after_a_minute() -> None:
    scene = Scene({"a": UNAVAILABLE, "b": [HEALTHY, HEALTHY, HEALTHY, UNAVAILABLE]})
    await ticks(scene.worker, 3)
    await refreshed(scene)
    scene.stage.log.unavailable = True
    working = asyncio.create_task(run_for(110.0, scene.worker.run()))
    await asyncio.sleep(30)
    await refreshed(scene)
    assert list(scene.status.incidents.open) == ["a"]
    assert scene.status.trouble is None
    await asyncio.sleep(50)
    trouble = scene.status.trouble
    assert trouble is not None
    assert re.fullmatch(r"its log has been unavailable for 1m\d\ds, and 1 transition is waiting for it", trouble)
    assert scene.status.diagnosis().summary == f"The prober itself is in trouble: {trouble}."
    scene.stage.log.unavailable = False
    await asyncio.sleep(20)
    assert scene.status.trouble is None
    await working


async def test_a_prober_whose_tick_is_late_by_two_intervals_is_in_trouble() -> None:
    scene = Scene({"a": HEALTHY})
    assert scene.status.trouble is None, "it has not begun"
    await run_for(7.0, scene.worker.run())
    assert scene.status.trouble is None
    await asyncio.sleep(15.0)
    assert scene.status.trouble is not None
    assert scene.status.trouble.startswith("its tick is late by 1")


async def test_a_change_is_streamed_within_about_a_second() -> None:
    scene = Scene({"a": [HEALTHY, HEALTHY, UNAVAILABLE]}, failures_threshold=1)
    seeing = asyncio.create_task(scene.status.run())
    working = asyncio.create_task(run_for(16.0, scene.worker.run()))
    deltas: list[Delta] = []
    async with asyncio.timeout(PATIENCE):
        async for delta in scene.status.deltas(0):
            if delta is not None:
                deltas.append(delta)
                if 0 in delta.changed.values():
                    break
    decided = (scene.stage.log.events[0].occurred_at - scene.status.started_at).total_seconds()
    assert scene.stage.clock.monotonic() - decided < 2 * run_status.REFRESH_INTERVAL
    assert deltas[0].added == [(0, "a", "127.0.0.1")]
    await working
    seeing.cancel()


@pytest.mark.proves("stream-away")
async def test_a_stream_that_is_too_far_behind_ends() -> None:
    scene = Scene({"a": [HEALTHY, UNAVAILABLE] * 200}, failures_threshold=1)
    for _ in range(150):
        await ticks(scene.worker, 1)
        await refreshed(scene)
    assert [delta async for delta in scene.status.deltas(3)] == []
