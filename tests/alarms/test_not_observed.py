"""A game of which nothing is known for ten intervals is an alert of its own name, and a blind prober is one alert."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta

import pytest
from tests.alarms.conftest import AlarmStage, game_on
from tests.telemetry.metrics.monitored_worker import MonitoredWorker

from healthprobe.adapters.notify.sentence import sentence_of_open, sentence_of_resolved
from healthprobe.alarms.alarms import Alarms
from healthprobe.alarms.not_observed import NotObserved, WorkerObserver
from healthprobe.domain.alarms.alert import page_link
from healthprobe.domain.outcome import HEALTHY, Inconclusive
from healthprobe.testing.prober import Answer
from healthprobe.testing.stage import run_for

CAUSE = "the prober's machine prohibits the connection"
PROHIBITED = Inconclusive(CAUSE, no_route=True)
OUT_OF_PORTS = Inconclusive("no free local port")
PROBER = "node-a"


class Observations:
    """An Observer under control: `unknown` are the games of which nothing is known, `long` those for long."""

    def __init__(self, stage: AlarmStage) -> None:
        self._stage = stage
        self.unknown: set[str] = set()
        self.long: set[str] = set()
        self.is_ready = True

    def lose(self, *game_ids: str) -> None:
        self.unknown.update(game_ids)
        self.long.update(game_ids)

    def see(self, *game_ids: str) -> None:
        self.unknown.difference_update(game_ids)
        self.long.difference_update(game_ids)

    async def not_observed(self) -> Mapping[str, NotObserved]:
        now = self._stage.clock.now()
        since = now - timedelta(seconds=50)
        return {game: NotObserved(game, since, now, CAUSE, PROBER) for game in self.long}

    def is_observed(self, game_id: str) -> bool:
        return game_id not in self.unknown


@pytest.fixture
def observations(alarm_stage: AlarmStage) -> Observations:
    return Observations(alarm_stage)


def alarms_of(stage: AlarmStage, observations: Observations) -> Alarms:
    return stage.alarms(wait=0.0, observer=observations)


@pytest.mark.proves("not-observed")
async def test_one_game_is_an_alert_of_its_own_name_with_the_cause(
    alarm_stage: AlarmStage, observations: Observations
) -> None:
    stage = alarm_stage
    observations.lose("a1")
    await stage.run(3.0, alarms_of(stage, observations))
    [alert] = stage.on_call.fired
    assert (alert.name, alert.game_ids) == ("EngineNotObserved", ("a1",))
    assert alert.summary == f"a1 is not observed: {CAUSE}"
    assert alert.labels == {"game_id": "a1", "host": "h1", "prober": PROBER}
    assert sentence_of_open(alert).startswith(f'a1 on h1 is not observed: "{CAUSE}" (since ')
    assert stage.log.events == []


async def test_it_is_resolved_when_the_game_is_observed_again(
    alarm_stage: AlarmStage, observations: Observations
) -> None:
    stage = alarm_stage
    alarms = alarms_of(stage, observations)
    observations.lose("a1")
    await stage.run(3.0, alarms)
    observations.see("a1")
    await stage.run(3.0, alarms)
    [over] = stage.on_call.resolved
    assert over.reason == "observed again"
    assert "is observed again after" in sentence_of_resolved(over)
    assert stage.open == []


@pytest.mark.proves("not-observed-group")
async def test_a_blind_prober_is_one_alert_over_all_hosts(alarm_stage: AlarmStage, observations: Observations) -> None:
    stage = alarm_stage
    games = [record.game_id for record in stage.games]
    observations.lose(*games)
    await stage.run(5.0, alarms_of(stage, observations))
    [alert] = stage.on_call.fired
    assert (alert.name, alert.game_ids, alert.group) == ("EnginesNotObserved", tuple(sorted(games)), ("prober", PROBER))
    assert alert.summary == f"12 of 12 games of prober {PROBER} are not observed: {CAUSE}"
    assert page_link("http://page", alert) == "http://page/?state=unknown"


async def test_a_few_of_many_games_are_one_alert_as_well(alarm_stage: AlarmStage, observations: Observations) -> None:
    observations.lose("a1", "a2", "b1")
    await alarm_stage.run(5.0, alarms_of(alarm_stage, observations))
    assert [alert.game_ids for alert in alarm_stage.on_call.fired] == [("a1", "a2", "b1")]


async def test_it_lasts_over_a_restart_after_which_no_game_was_observed_yet(
    alarm_stage: AlarmStage, observations: Observations
) -> None:
    stage = alarm_stage
    observations.lose("a1")
    await stage.run(3.0, alarms_of(stage, observations))
    observations.long.clear()
    observations.is_ready = False
    alarms = alarms_of(stage, observations)
    await stage.run(3.0, alarms)
    observations.is_ready = True
    await stage.run(3.0, alarms)
    assert (len(stage.on_call.fired), stage.on_call.resolved) == (1, [])
    observations.see("a1")
    await stage.run(3.0, alarms)
    assert stage.open == []


async def test_a_game_that_is_not_listed_any_more_ends_it_as_gone(
    alarm_stage: AlarmStage, observations: Observations
) -> None:
    stage = alarm_stage
    alarms = alarms_of(stage, observations)
    observations.lose("a1")
    await stage.run(3.0, alarms)
    observations.see("a1")
    stage.games = [record for record in stage.games if record.game_id != "a1"]
    await stage.run(3.0, alarms)
    assert stage.on_call.resolved == [], "one listing without it"
    stage.gone = {"a1"}
    await stage.run(3.0, alarms)
    assert [over.reason for over in stage.on_call.resolved] == ["game no longer runs"]


async def test_a_game_with_an_open_incident_has_one_alert_only(
    alarm_stage: AlarmStage, observations: Observations
) -> None:
    stage = alarm_stage
    stage.fail("a1")
    observations.lose("a1", "a2")
    await stage.run(5.0, alarms_of(stage, observations))
    assert [(alert.name, alert.game_ids) for alert in stage.on_call.fired] == [
        ("EngineNotAnswering", ("a1",)),
        ("EngineNotObserved", ("a2",)),
    ]


async def test_a_silence_holds_it_back(alarm_stage: AlarmStage, observations: Observations) -> None:
    stage = alarm_stage
    stage.silenced = {"a1"}
    observations.lose("a1")
    alarms = alarms_of(stage, observations)
    await stage.run(3.0, alarms)
    assert stage.on_call.fired == []
    stage.silenced = set()
    await stage.run(3.0, alarms)
    assert len(stage.on_call.fired) == 1


async def told(engines: dict[str, list[Answer]], intervals: int) -> list[tuple[str, tuple[str, ...]]]:
    """Runs a worker over these engines, an alarm stage beside it, and returns what it told."""
    monitored = MonitoredWorker(engines)
    stage = AlarmStage()
    stage.games = [game_on("127.0.0.1", game_id) for game_id in engines]
    observer = WorkerObserver(lambda: monitored.worker.status, PROBER, stage.clock.now)
    alarms = stage.alarms(wait=0.0, observer=observer, shortest_group_wait=timedelta(seconds=5))
    await run_for(intervals * 5.0, _both(monitored, alarms))
    return [(alert.name, alert.game_ids) for alert in stage.on_call.fired]


async def _both(monitored: MonitoredWorker, alarms: Alarms) -> None:
    await asyncio.gather(monitored.worker.run(), alarms.run())


async def test_a_worker_that_sees_nothing_is_told_of_once_and_only_after_ten_intervals() -> None:
    engines: dict[str, list[Answer]] = {each: [HEALTHY, PROHIBITED] for each in "abcdefg"}
    assert await told(engines, 11) == []
    assert await told(engines, 40) == [("EnginesNotObserved", tuple("abcdefg"))]


async def test_an_engine_that_counts_as_failed_by_then_is_no_notice() -> None:
    engines: dict[str, list[Answer]] = {each: [HEALTHY] for each in "abcdefg"}
    assert await told({**engines, "a": [HEALTHY, PROHIBITED]}, 40) == []
    assert await told({**engines, "a": [HEALTHY, OUT_OF_PORTS]}, 40) == [("EngineNotObserved", ("a",))]
