"""An upgrade: what the relays of earlier versions told people counts as told, and what they had not told is told."""

from __future__ import annotations

from datetime import UTC, datetime

from tests.alarms.conftest import ON_CALL, AlarmStage

from healthprobe.alarms.alarms import Alarms
from healthprobe.ports import DeadLetter
from healthprobe.testing.memory import InMemoryAlerter

NOTIFIED = {"people": ("people", "people of all targets")}
NOW = datetime(2026, 11, 29, tzinfo=UTC)


def alarms_of(stage: AlarmStage, people: InMemoryAlerter) -> Alarms:
    people.takes_updates = False  # type: ignore[attr-defined]  # it becomes a MessageAlerter
    return stage.alarms(wait=0.0, alerters={ON_CALL: {"people": people}}, earlier_relays=NOTIFIED)


async def test_what_the_relay_delivered_is_not_told_again_and_its_end_is(alarm_stage: AlarmStage) -> None:
    stage, people = alarm_stage, InMemoryAlerter()
    stage.fail("a1", "b1")
    await stage.log.save_cursor("people", 2)
    stage.fail("a2")
    alarms = alarms_of(stage, people)
    await stage.run(3.0, alarms)
    assert [alert.game_ids for alert in people.fired] == [("a2",)]
    assert "people" not in stage.log.cursors, "the relay is gone, and keeps no event in the log"
    stage.recover("a1", "a2")
    await stage.run(3.0, alarms)
    assert sorted(over.alert.game_ids for over in people.resolved) == [("a1",), ("a2",)]
    assert len(people.fired) == 1


async def test_a_recovery_that_the_relay_had_not_delivered_is_told(alarm_stage: AlarmStage) -> None:
    stage, people = alarm_stage, InMemoryAlerter()
    stage.fail("a1", "a2")
    await stage.log.save_cursor("people", 2)
    stage.recover("a1")
    stage.recover("a2")
    stage.fail("a2")
    await stage.run(3.0, alarms_of(stage, people))
    assert sorted(over.alert.key for over in people.resolved) == ["log-1/a1:1", "log-1/a2:1"]
    assert [alert.key for alert in people.fired] == ["log-1/a2:3"]


async def test_what_began_and_ended_before_the_cursor_is_not_told(alarm_stage: AlarmStage) -> None:
    stage, people = alarm_stage, InMemoryAlerter()
    stage.fail("a1")
    stage.recover("a1")
    stage.fail("a2")
    await stage.log.save_cursor("people", 3)
    await stage.run(3.0, alarms_of(stage, people))
    assert (people.fired, people.resolved) == ([], [])


async def test_a_target_without_a_cursor_goes_on_where_the_relay_for_all_targets_was(alarm_stage: AlarmStage) -> None:
    stage, people = alarm_stage, InMemoryAlerter()
    stage.fail("a1", "a2")
    await stage.log.save_cursor("people of all targets", 1)
    await stage.run(3.0, alarms_of(stage, people))
    assert [alert.game_ids for alert in people.fired] == [("a2",)]
    assert stage.log.cursors == {}


async def test_a_target_that_is_new_is_told_what_is_open(alarm_stage: AlarmStage) -> None:
    stage, people = alarm_stage, InMemoryAlerter()
    stage.fail("a1")
    stage.fail("a2")
    stage.recover("a2")
    await stage.run(3.0, alarms_of(stage, people))
    assert [alert.game_ids for alert in people.fired] == [("a1",)]
    assert people.resolved == []


async def test_where_the_cursor_was_altered_all_that_is_open_counts_as_told(alarm_stage: AlarmStage) -> None:
    stage, people = alarm_stage, InMemoryAlerter()
    stage.fail("a1", "a2")
    await stage.log.save_cursor("people", 500)
    await stage.run(3.0, alarms_of(stage, people))
    assert people.fired == []
    assert stage.log.cursors == {}


async def test_a_failure_that_the_relay_had_parked_is_told_while_it_is_open_and_its_letter_is_dropped(
    alarm_stage: AlarmStage,
) -> None:
    stage, people = alarm_stage, InMemoryAlerter()
    stage.fail("a1", "a2", "b1")
    stage.recover("a2")
    await stage.log.save_cursor("people", 4)
    for event in stage.log.events[:2]:
        await stage.log.park(DeadLetter("people", event, "refused", NOW))
    await stage.log.park(DeadLetter("webhook", stage.log.events[2], "refused", NOW))
    await stage.run(3.0, alarms_of(stage, people))
    assert [alert.game_ids for alert in people.fired] == [("a1",)]
    assert [letter.publisher for letter in await stage.log.dead_letters(10)] == ["webhook"]
    [line] = stage.stage.lines_of("notifications that were parked by an earlier version are dropped")
    assert line["count"] == 2


async def test_the_upgrade_happens_once(alarm_stage: AlarmStage) -> None:
    stage, people = alarm_stage, InMemoryAlerter()
    stage.fail("a1", "a2")
    await stage.log.save_cursor("people", 1)
    await stage.run(3.0, alarms_of(stage, people))
    await stage.run(3.0, alarms_of(stage, people))
    assert [alert.game_ids for alert in people.fired] == [("a2",)]
    assert len(stage.stage.lines_of("an alerter goes on where the relay before it was")) == 1
