"""Incidents of games that are gone end: by a note beside the log, or by an event in it."""

from __future__ import annotations

from typing import Any

import pytest

from healthprobe.app.gone_games import GoneGames
from healthprobe.domain.alarms.gone import GONE, gone_incidents
from healthprobe.domain.outcome import HEALTHY
from healthprobe.domain.shard import shard_of
from healthprobe.testing.contracts.samples import failed
from healthprobe.testing.leases import ScriptedLeases
from healthprobe.testing.prober import UNAVAILABLE
from healthprobe.testing.stage import Stage, game, run_for, ticks
from healthprobe.worker.worker import Worker


class Watch:
    """A worker and what ends its incidents, on one stage."""

    def __init__(self, stage: Stage, *, writes_events: bool = False, **others: Any) -> None:
        self.stage = stage
        self.worker = Worker(**stage.arguments(**others))
        self.games = GoneGames(stage.log, self.worker, stage.logger, writes_events=writes_events, clock=stage.clock.now)

    async def pass_ticks(self, times: int) -> None:
        for _ in range(times):
            await self.worker.tick()
            await self.games.update()

    async def noted(self) -> set[tuple[str, int]]:
        return set(gone_incidents(await self.stage.log.documents(GONE)))


async def test_an_incident_gets_a_note_when_its_game_is_gone_and_the_log_gets_nothing() -> None:
    watch = Watch(Stage(a=UNAVAILABLE, b=UNAVAILABLE))
    await watch.pass_ticks(3)
    watch.stage.records.remove("a")
    await watch.pass_ticks(2)
    assert await watch.noted() == set()
    await watch.pass_ticks(1)
    assert await watch.noted() == {("a", 1)}
    assert [event.id for event in watch.stage.log.events] == ["a:1", "b:1"]
    assert len(watch.stage.lines_of("incident ended: the game no longer runs")) == 1


async def test_the_incident_goes_on_if_the_game_comes_back_failing() -> None:
    watch = Watch(Stage(a=UNAVAILABLE))
    await watch.pass_ticks(3)
    watch.stage.records.remove("a")
    await watch.pass_ticks(3)
    watch.stage.records.put(game("a"))
    await watch.pass_ticks(4)
    assert await watch.noted() == set()
    assert watch.stage.story == [("a", "probe_failed", 3)]


async def test_a_game_that_comes_back_healthy_recovers_and_its_note_goes() -> None:
    watch = Watch(Stage(a=[UNAVAILABLE, UNAVAILABLE, UNAVAILABLE, HEALTHY]))
    await watch.pass_ticks(3)
    watch.stage.records.remove("a")
    await watch.pass_ticks(3)
    watch.stage.records.put(game("a"))
    await watch.pass_ticks(2)
    assert await watch.noted() == set()
    assert watch.stage.story == [("a", "probe_failed", 3), ("a", "probe_recovered", 3)]


async def test_a_restart_keeps_the_notes_and_finds_incidents_of_games_that_left_meanwhile() -> None:
    stage = Stage(b=HEALTHY)
    stage.log.write(failed("a", 1), failed("b", 1))
    await Watch(stage).pass_ticks(3)
    before = await stage.log.documents(GONE)
    again = Watch(stage)
    await again.pass_ticks(2)
    assert await stage.log.documents(GONE) == before
    assert await again.noted() == {("a", 1)}


async def test_with_events_the_log_gets_a_probe_ended_once_and_the_game_starts_clean() -> None:
    watch = Watch(Stage(a=UNAVAILABLE), writes_events=True)
    await watch.pass_ticks(3)
    watch.stage.records.remove("a")
    await watch.pass_ticks(6)
    assert watch.stage.story == [("a", "probe_failed", 3), ("a", "probe_ended", 0)]
    assert watch.stage.log.events[1].details.as_document() == {"reason": "game no longer runs"}
    assert watch.worker.status.states == {}
    assert await watch.noted() == set()
    watch.stage.records.put(game("a"))
    await watch.pass_ticks(3)
    assert watch.stage.story[2:] == [("a", "probe_failed", 3)]
    assert [event.sequence for event in watch.stage.log.events] == [1, 2, 3]


async def test_a_game_that_comes_back_before_the_log_took_its_end_goes_on_with_its_incident() -> None:
    watch = Watch(Stage(a=UNAVAILABLE), writes_events=True)
    await watch.pass_ticks(3)
    watch.stage.records.remove("a")
    await ticks(watch.worker, 3)
    await watch.games.update()
    watch.stage.log.unavailable = True
    await watch.worker.tick()
    assert watch.worker.status.waiting["a"].details.event_type == "probe_ended"
    watch.stage.records.put(game("a"))
    await watch.worker.tick()
    watch.stage.log.unavailable = False
    await watch.pass_ticks(3)
    assert watch.stage.story == [("a", "probe_failed", 3)]


async def test_an_end_that_another_instance_wrote_first_is_adopted() -> None:
    stage = Stage(a=UNAVAILABLE)
    one, other = Watch(stage, writes_events=True), Watch(stage, writes_events=True)
    await one.pass_ticks(3)
    stage.records.remove("a")
    for watch in (one, other):
        await ticks(watch.worker, 3)
        await watch.games.update()
    await ticks(one.worker, 1)
    await ticks(other.worker, 1)
    assert stage.story == [("a", "probe_failed", 3), ("a", "probe_ended", 0)]


@pytest.mark.parametrize("writes_events", [False, True])
async def test_an_instance_ends_incidents_of_its_own_shards_only(*, writes_events: bool) -> None:
    stage = Stage()
    stage.log.write(failed("a", 1), failed("b", 1))
    watch = Watch(stage, writes_events=writes_events, shards=ScriptedLeases([shard_of("a", 256)]))
    await watch.pass_ticks(4)
    if writes_events:
        assert [event.id for event in stage.log.events] == ["a:1", "b:1", "a:2"]
    else:
        assert await watch.noted() == {("a", 1)}


async def test_a_log_that_is_away_is_tried_again_and_logged_once() -> None:
    stage = Stage()
    stage.log.write(failed("a", 1))
    watch = Watch(stage)
    await watch.worker.tick()
    stage.log.unavailable = True
    await ticks(watch.worker, 3)
    await run_for(16.0, watch.games.run())
    assert len(stage.lines_of("incidents of games that are gone stay open for now")) == 1
    stage.log.unavailable = False
    await run_for(6.0, watch.games.run())
    assert await watch.noted() == {("a", 1)}
