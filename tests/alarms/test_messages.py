"""Alerters of messages: people are told of a group when it begins, when it has grown much, and when it is over."""

from __future__ import annotations

from typing import Any

from tests.alarms.conftest import ON_CALL, AlarmStage, game_on

from healthprobe.testing.memory import InMemoryAlerter


class Messages(InMemoryAlerter):
    takes_updates = False


async def test_a_group_that_grows_is_told_again_once_half_as_many_games_more_have_failed_also_after_a_restart(
    alarm_stage: AlarmStage,
) -> None:
    stage = alarm_stage
    stage.games = [game_on("h1", f"a{number:02}") for number in range(20)]
    people = Messages()
    settings: dict[str, Any] = {"wait": 0.0, "alerters": {ON_CALL: {"people": people}}}
    alarms = stage.alarms(**settings)
    stage.fail(*(f"a{number:02}" for number in range(12)))
    await stage.run(3.0, alarms)
    for number in range(12, 17):
        stage.fail(f"a{number:02}")
        await stage.run(3.0, alarms)
    assert [len(alert.game_ids) for alert in people.fired] == [12]
    alarms = stage.alarms(**settings)
    await stage.run(3.0, alarms)
    assert len(people.fired) == 1, "the next run knows what was told"
    stage.fail("a17")
    await stage.run(3.0, alarms)
    assert [len(alert.game_ids) for alert in people.fired] == [12, 18]
    stage.recover(*(f"a{number:02}" for number in range(18)))
    await stage.run(3.0, alarms)
    assert (len(people.fired), len(people.resolved)) == (2, 1)
