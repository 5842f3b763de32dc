"""Alarms: what is open in the log is open at the on-call system, once, also over restarts and faults."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from tests.alarms.conftest import ON_CALL, AlarmStage, game_on

from healthprobe.domain.alarms.alert import Alert, AlertRoute, ResolvedAlert
from healthprobe.testing.memory import InMemoryAlerter


async def test_a_game_that_fails_alone_is_one_alert_after_the_wait(alarm_stage: AlarmStage) -> None:
    stage = alarm_stage
    running = asyncio.ensure_future(stage.run(100.0, wait=10.0))
    await asyncio.sleep(5.5)
    stage.fail("a1")
    await asyncio.sleep(9.9)
    assert stage.on_call.fired == []
    await asyncio.sleep(0.6)
    [alert] = stage.on_call.fired
    assert (alert.key, alert.name, alert.game_ids) == ("log-1/a1:1", "EngineNotAnswering", ("a1",))
    assert alert.labels == {"game_id": "a1", "host": "h1"}
    assert alert.summary == "a1 has stopped answering: unexpected status 503"
    assert alert.started_at == stage.log.events[0].occurred_at
    running.cancel()


async def test_it_is_resolved_when_the_game_answers_again(alarm_stage: AlarmStage) -> None:
    stage = alarm_stage
    alarms = stage.alarms(wait=0.0)
    stage.fail("a1")
    await stage.run(1.5, alarms)
    stage.recover("a1")
    await stage.run(1.5, alarms)
    [over] = stage.on_call.resolved
    assert (over.alert.key, over.reason, over.resolved_at) == (
        "log-1/a1:1",
        "answers again",
        stage.log.events[1].occurred_at,
    )
    assert stage.open == []


async def test_a_wake_tells_at_once(alarm_stage: AlarmStage) -> None:
    stage = alarm_stage
    alarms = stage.alarms(wait=0.0, poll_interval=3600.0)
    running = asyncio.ensure_future(stage.run(100.0, alarms))
    await asyncio.sleep(10.0)
    stage.fail("a1")
    alarms.wake()
    await asyncio.sleep(0.01)
    assert stage.open == [("a1",)]
    running.cancel()


async def test_a_game_that_recovers_while_its_alert_waits_is_not_told(alarm_stage: AlarmStage) -> None:
    stage = alarm_stage
    running = asyncio.ensure_future(stage.run(100.0, wait=10.0))
    stage.fail("a1")
    await asyncio.sleep(5.0)
    stage.recover("a1")
    await asyncio.sleep(50.0)
    assert (stage.on_call.fired, stage.on_call.resolved) == ([], [])
    running.cancel()


async def test_nothing_is_told_before_the_games_are_listed(alarm_stage: AlarmStage) -> None:
    stage = alarm_stage
    games, stage.games = stage.games, ()
    stage.fail("a1")
    alarms = await stage.run(5.0, wait=0.0)
    assert stage.on_call.fired == []
    stage.games = games
    await stage.run(1.5, alarms)
    assert stage.open == [("a1",)]


class TestAfterAKill:
    async def test_an_alert_is_not_fired_again(self, alarm_stage: AlarmStage) -> None:
        stage = alarm_stage
        stage.fail("a1")
        await stage.run(2.0, wait=0.0)
        await stage.run(2.0, wait=0.0)
        assert len(stage.on_call.fired) == 1

    async def test_a_recovery_that_was_seen_meanwhile_resolves_it(self, alarm_stage: AlarmStage) -> None:
        stage = alarm_stage
        stage.fail("a1")
        await stage.run(2.0, wait=0.0)
        stage.recover("a1")
        await stage.run(2.0, wait=0.0)
        [over] = stage.on_call.resolved
        assert (over.alert.key, over.resolved_at) == ("log-1/a1:1", stage.log.events[1].occurred_at)
        assert stage.open == []

    async def test_an_alert_that_was_sent_and_not_acknowledged_is_resolved_too(self, alarm_stage: AlarmStage) -> None:
        stage = alarm_stage
        stage.fail("a1")
        stage.on_call.lose_acknowledgement = True
        await stage.run(0.01, wait=0.0)
        assert stage.open == [("a1",)]
        stage.on_call.lose_acknowledgement = False
        stage.recover("a1")
        await stage.run(2.0, wait=0.0)
        assert stage.open == []

    async def test_a_group_goes_on_with_its_key(self, alarm_stage: AlarmStage) -> None:
        stage = alarm_stage
        stage.fail("a0", "a1", "a2", "a3", "a4", "a5")
        await stage.run(2.0, wait=0.0)
        stage.fail("a6")
        await stage.run(2.0, wait=0.0)
        assert {alert.key for alert in stage.on_call.fired} == {"log-1/host=h1/a0:1"}
        assert stage.open == [tuple(f"a{number}" for number in range(7))]

    async def test_nothing_is_kept_of_an_alert_that_is_over(self, alarm_stage: AlarmStage) -> None:
        stage = alarm_stage
        stage.fail("a1")
        alarms = await stage.run(2.0, wait=0.0)
        stage.recover("a1")
        await stage.run(5.0, alarms)
        assert await stage.log.documents("alert") == {}
        assert await stage.log.documents("alerter:on-call") == {}


class TestAnAlerterThatIsDown:
    async def test_is_tried_again_and_delays_no_other(self, alarm_stage: AlarmStage) -> None:
        stage = alarm_stage
        down, up = InMemoryAlerter(), InMemoryAlerter()
        down.unavailable = True
        alarms = stage.alarms(
            wait=0.0,
            routes=[AlertRoute("memory:down"), AlertRoute("memory:up")],
            alerters={"memory:down": {"down": down}, "memory:up": {"up": up}},
        )
        stage.fail("a1")
        await stage.run(60.0, alarms)
        assert (len(down.fired), len(up.fired)) == (0, 1)
        assert stage.stage.telemetry.lag["down"] == 1
        [line] = stage.stage.lines_of("alerts failing, will retry")
        assert line["publisher"] == "down"
        down.unavailable = False
        await stage.run(7.0, alarms)
        assert len(down.fired) == 1
        assert stage.stage.telemetry.lag["down"] == 0
        assert stage.stage.lines_of("alerts are delivered again")

    async def test_gets_the_resolve_when_it_is_back(self, alarm_stage: AlarmStage) -> None:
        stage = alarm_stage
        alarms = stage.alarms(wait=0.0)
        stage.fail("a1")
        await stage.run(2.0, alarms)
        stage.on_call.unavailable = True
        stage.recover("a1")
        await stage.run(600.0, alarms)
        assert stage.open == [("a1",)]
        stage.on_call.unavailable = False
        await stage.run(7.0, wait=0.0)
        assert stage.open == []

    async def test_and_hangs_delays_no_other_and_is_shown(self, alarm_stage: AlarmStage) -> None:
        stage = alarm_stage
        hanging, up = InMemoryAlerter(), InMemoryAlerter()
        hanging.delay = 10_000.0
        alarms = stage.alarms(
            wait=0.0,
            routes=[AlertRoute("memory:hanging"), AlertRoute("memory:up")],
            alerters={"memory:hanging": {"hanging": hanging}, "memory:up": {"up": up}},
        )
        stage.fail("a1")
        await stage.run(40.0, alarms)
        assert len(up.fired) == 1
        assert [line["err"] for line in stage.stage.lines_of("alerts failing, will retry")] == ["no answer for 30s"]


async def test_one_that_is_refused_for_good_is_parked_and_the_others_arrive(alarm_stage: AlarmStage) -> None:
    stage = alarm_stage
    stage.on_call.unacceptable = {"b0:1"}
    stage.fail("a1", "b0", "b1")
    alarms = await stage.run(30.0, wait=0.0)
    assert stage.open == [("a1",), ("b1",)]
    assert stage.stage.telemetry.parked["on-call"] == 1
    stage.recover("b0")
    await stage.run(30.0, alarms)
    assert stage.on_call.resolved == []


async def test_a_log_that_is_down_holds_alerts_up_and_loses_none(alarm_stage: AlarmStage) -> None:
    stage = alarm_stage
    alarms = stage.alarms(wait=0.0)
    await stage.run(2.0, alarms)
    stage.fail("a1")
    stage.log.unavailable = True
    await stage.run(60.0, alarms)
    assert stage.on_call.fired == []
    assert len(stage.stage.lines_of("alarms wait for the log, will retry")) == 1
    stage.log.unavailable = False
    await stage.run(7.0, alarms)
    assert stage.open == [("a1",)]


class TestASilence:
    async def test_holds_an_alert_back_until_it_ends(self, alarm_stage: AlarmStage) -> None:
        stage = alarm_stage
        stage.silenced.add("a1")
        stage.fail("a1")
        alarms = await stage.run(60.0, wait=0.0)
        assert stage.on_call.fired == []
        stage.silenced.clear()
        await stage.run(1.5, alarms)
        assert stage.open == [("a1",)]

    async def test_does_not_hold_back_the_resolve_of_what_was_told(self, alarm_stage: AlarmStage) -> None:
        stage = alarm_stage
        alarms = stage.alarms(wait=0.0)
        stage.fail("a1")
        await stage.run(2.0, alarms)
        stage.silenced.add("a1")
        await stage.run(2.0, alarms)
        assert stage.open == [("a1",)]
        stage.recover("a1")
        await stage.run(2.0, alarms)
        assert stage.open == []


class TestAGameThatIsGone:
    async def test_its_alert_is_resolved_with_the_reason_and_fires_again_if_it_comes_back_failing(
        self, alarm_stage: AlarmStage
    ) -> None:
        stage = alarm_stage
        alarms = stage.alarms(wait=0.0)
        stage.fail("b0")
        await stage.run(2.0, alarms)
        stage.games = [game for game in stage.games if game.game_id != "b0"]
        await stage.run(2.0, alarms)
        assert stage.open == [("b0",)]
        stage.gone.add("b0")
        await stage.run(2.0, alarms)
        assert [over.reason for over in stage.on_call.resolved] == ["game no longer runs"]
        await stage.run(60.0, wait=0.0)
        assert stage.open == []
        stage.gone.clear()
        await stage.run(60.0, wait=0.0)
        assert stage.open == []
        stage.games = [*stage.games, game_on("h2", "b0")]
        await stage.run(2.0, wait=0.0)
        assert [alert.key for alert in stage.on_call.open.values()] == ["log-1/b0:1"]


async def test_a_repeating_alerter_gets_what_is_open_again_and_again_and_at_once_after_a_restart(
    alarm_stage: AlarmStage,
) -> None:
    stage = alarm_stage

    class Repeating(InMemoryAlerter):
        repeat_interval = 60.0

    repeating = Repeating()
    settings: dict[str, Any] = {"wait": 0.0, "alerters": {ON_CALL: {"repeating": repeating}}}
    stage.fail("a1")
    await stage.run(150.0, alarms=None, **settings)
    assert len(repeating.fired) == 3
    await stage.run(2.0, alarms=None, **settings)
    assert len(repeating.fired) == 4
    stage.recover("a1")
    await stage.run(300.0, alarms=None, **settings)
    assert len(repeating.fired) == 4
    assert len(repeating.resolved) == 1


async def test_routes_send_alerts_by_label_with_their_severity(alarm_stage: AlarmStage) -> None:
    stage = alarm_stage
    first, rest = InMemoryAlerter(), InMemoryAlerter()
    routes = [AlertRoute("memory:first", {"host": "h1"}, "warning"), AlertRoute("memory:rest")]
    alerters = {"memory:first": {"first": first}, "memory:rest": {"rest": rest}}
    stage.fail("a1", "b1")
    await stage.run(2.0, wait=0.0, routes=routes, alerters=alerters)
    assert [(alert.game_ids, alert.severity) for alert in first.fired] == [(("a1",), "warning")]
    assert [(alert.game_ids, alert.severity) for alert in rest.fired] == [(("b1",), "critical")]


async def test_an_alert_keeps_the_severity_with_which_it_was_told_first(alarm_stage: AlarmStage) -> None:
    stage = alarm_stage
    stage.fail("a1")
    await stage.run(2.0, wait=0.0, routes=[AlertRoute(ON_CALL, severity="warning")])
    await stage.run(2.0, wait=0.0, routes=[AlertRoute(ON_CALL, severity="critical")])
    stage.fail("a2")
    stage.recover("a1")
    await stage.run(2.0, wait=0.0, routes=[AlertRoute(ON_CALL, severity="critical")])
    assert [over.alert.severity for over in stage.on_call.resolved] == ["warning"]
    assert {(alert.game_ids, alert.severity) for alert in stage.on_call.fired} == {
        (("a1",), "warning"),
        (("a2",), "critical"),
    }


async def test_draining_tells_what_the_log_holds_now(alarm_stage: AlarmStage) -> None:
    stage = alarm_stage
    stage.fail("a1")
    await stage.alarms(wait=0.0).drain(within=1.0)
    assert stage.open == [("a1",)]


async def test_draining_gives_up_in_time(alarm_stage: AlarmStage) -> None:
    stage = alarm_stage
    stage.on_call.delay = 3600.0
    stage.fail("a1")
    await stage.alarms(wait=0.0).drain(within=1.5)
    assert asyncio.get_running_loop().time() == pytest.approx(1.5)


async def test_an_altered_document_is_named_and_the_alert_is_decided_afresh(alarm_stage: AlarmStage) -> None:
    stage = alarm_stage
    stage.fail("a1")
    await stage.run(2.0, wait=0.0)
    await stage.log.put_documents("alert", {"log-1/a1:1": '{"labels": [}'})
    await stage.run(2.0, wait=0.0)
    assert "log-1/a1:1" in stage.stage.lines_of("alert altered in the log: not known any more")[0]["err"]
    assert len(stage.on_call.fired) == 1


class ByLabels(InMemoryAlerter):
    """An on-call system that knows an alert by its game alone, as Alertmanager does, and takes 5 s to take an end."""

    def __init__(self) -> None:
        super().__init__()
        self.firing: set[str] = set()

    async def fire(self, alerts: Sequence[Alert]) -> None:
        await super().fire(alerts)
        self.firing |= {alert.labels["game_id"] for alert in alerts}

    async def resolve(self, alerts: Sequence[ResolvedAlert]) -> None:
        await asyncio.sleep(5.0)
        await super().resolve(alerts)
        self.firing -= {each.alert.labels["game_id"] for each in alerts}


async def test_a_game_that_fails_again_while_an_alerter_is_slow_has_its_earlier_alert_resolved_before_the_next_fires(
    alarm_stage: AlarmStage,
) -> None:
    stage = alarm_stage
    by_labels = ByLabels()
    running = asyncio.ensure_future(
        stage.run(100.0, wait=0.0, label=None, alerters={ON_CALL: {"by-labels": by_labels}})
    )
    stage.fail("a1", "a2")
    await asyncio.sleep(2.0)
    stage.recover("a2")
    await asyncio.sleep(2.0)
    stage.recover("a1")
    stage.fail("a1")
    await asyncio.sleep(20.0)
    assert by_labels.firing == {"a1"}
    running.cancel()
