"""In a cluster one instance tells what no instance observes: each notes its own games beside the log."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, cast

from tests.alarms.conftest import AlarmStage

from healthprobe.alarms.not_observed import NotObserved, WorkerObserver
from healthprobe.alarms.not_observed_notes import UNOBSERVED, NotObservedNotes

CAUSE = "the prober has no route to the engine's network"


class OwnGames:
    """The games of one instance, of which `lost` are not observed for long."""

    is_ready = True

    def __init__(self, stage: AlarmStage, prober: str, *games: str) -> None:
        self._stage = stage
        self._prober = prober
        self.games = {*games}
        self.lost: set[str] = set()

    async def not_observed(self) -> dict[str, NotObserved]:
        now = self._stage.clock.now()
        return {game: NotObserved(game, now - timedelta(seconds=50), now, CAUSE, self._prober) for game in self.lost}

    def watches(self, game_id: str) -> bool:
        return game_id in self.games

    def is_observed(self, game_id: str) -> bool:
        return game_id not in self.lost


def notes_of(stage: AlarmStage, own: OwnGames) -> NotObservedNotes:
    return NotObservedNotes(
        stage.log, cast("WorkerObserver", own), cast("Any", stage.stage.logger), clock=stage.clock.now
    )


async def test_the_leader_tells_of_the_games_of_a_blind_instance_and_of_their_end(alarm_stage: AlarmStage) -> None:
    stage = alarm_stage
    leading = OwnGames(stage, "node-a", "a0", "a1")
    blind = OwnGames(stage, "node-b", "b0", "b1", "a2", "a3")
    notes = notes_of(stage, blind)
    blind.lost = {"b0", "b1", "a2"}
    await notes.write()
    alarms = stage.alarms(wait=0.0, observer=notes_of(stage, leading))
    await stage.run(3.0, alarms)
    [alert] = stage.on_call.fired
    assert (alert.game_ids, alert.group) == (("a2", "b0", "b1"), ("prober", "node-b"))
    blind.lost = set()
    await notes.write()
    await stage.run(12.0, alarms)
    assert stage.open == []
    assert await stage.log.documents(UNOBSERVED) == {}


async def test_a_note_of_an_instance_that_is_gone_counts_for_three_minutes(alarm_stage: AlarmStage) -> None:
    stage = alarm_stage
    blind, leading = OwnGames(stage, "node-b", "b0"), OwnGames(stage, "node-a", "a0")
    blind.lost = {"b0"}
    await notes_of(stage, blind).write()
    alarms = stage.alarms(wait=0.0, observer=notes_of(stage, leading))
    await stage.run(100.0, alarms)
    assert stage.open == [("b0",)]
    await stage.run(100.0, alarms)
    assert stage.open == []


async def test_a_game_that_another_instance_watches_by_now_is_judged_by_that_one(alarm_stage: AlarmStage) -> None:
    stage = alarm_stage
    blind, leading = OwnGames(stage, "node-b", "b0"), OwnGames(stage, "node-a", "a0", "b0")
    blind.lost = {"b0"}
    await notes_of(stage, blind).write()
    assert await notes_of(stage, leading).not_observed() == {}


async def test_thousands_of_games_are_noted_in_parts_and_removed_at_the_end(alarm_stage: AlarmStage) -> None:
    stage = alarm_stage
    blind, leading = OwnGames(stage, "node-b"), OwnGames(stage, "node-a")
    blind.lost = {f"game-{number}" for number in range(5_000)}
    notes = notes_of(stage, blind)
    await notes.write()
    documents = await stage.log.documents(UNOBSERVED)
    assert len(documents) > 3
    assert max(map(len, documents.values())) < 100_000
    assert (await notes_of(stage, leading).not_observed()).keys() == blind.lost
    await notes.finish(within=1.0)
    assert await stage.log.documents(UNOBSERVED) == {}


async def test_a_note_that_was_altered_hides_no_other(alarm_stage: AlarmStage) -> None:
    stage = alarm_stage
    blind, leading = OwnGames(stage, "node-b", "b0"), OwnGames(stage, "node-a", "a0")
    blind.lost = {"b0"}
    await notes_of(stage, blind).write()
    await stage.log.put_documents(UNOBSERVED, {"x#0": '{"at": 5, "games": [7]}', "y#0": "none", "z#0": "[]"})
    assert (await notes_of(stage, leading).not_observed()).keys() == {"b0"}
