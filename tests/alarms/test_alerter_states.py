"""How far each alerter got, as the log has it."""

from __future__ import annotations

from tests.alarms.conftest import AlarmStage

from healthprobe.alarms.alerter_states import alerter_states, forget_alerter


async def test_the_log_has_how_many_alerts_an_alerter_does_not_know_and_how_many_it_refused(
    alarm_stage: AlarmStage,
) -> None:
    stage = alarm_stage
    stage.on_call.unacceptable = {"a1:1"}
    stage.fail("a1", "b1")
    await stage.run(2.0, wait=0.0)
    assert await alerter_states(stage.log) == {"on-call": (0, 1)}
    stage.on_call.unavailable = True
    stage.recover("b1")
    await stage.run(2.0, wait=0.0)
    assert (await alerter_states(stage.log))["on-call"][0] == 2  # a run tries once more what was refused


async def test_an_alerter_that_is_forgotten_leaves_nothing(alarm_stage: AlarmStage) -> None:
    stage = alarm_stage
    stage.fail("a1")
    await stage.run(2.0, wait=0.0)
    assert await forget_alerter(stage.log, "on-call")
    assert await alerter_states(stage.log) == {}
    assert await stage.log.documents("alerter:on-call") == {}
    assert not await forget_alerter(stage.log, "on-call")


async def test_altered_documents_of_an_alerter_count_as_nothing_and_the_alert_is_fired_again(
    alarm_stage: AlarmStage,
) -> None:
    stage = alarm_stage
    stage.fail("a1")
    await stage.run(2.0, wait=0.0)
    await stage.log.put_documents("alerters", {"on-call": "{"})
    await stage.log.put_documents("alerter:on-call", {"log-1/a1:1": "[]"})
    assert await alerter_states(stage.log) == {"on-call": (0, 0)}
    await stage.run(2.0, wait=0.0)
    assert len(stage.on_call.fired) == 2
