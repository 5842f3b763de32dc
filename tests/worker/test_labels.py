"""Labels of records: they go with the event, and a wrong one is named once and hides no game."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from healthprobe.domain.outcome import HEALTHY
from healthprobe.testing.prober import UNAVAILABLE
from healthprobe.testing.stage import Stage, game, ticks
from healthprobe.worker.worker import Worker


def label(stage: Stage, game_id: str, labels: Any) -> None:
    stage.records.put(replace(game(game_id), labels=labels))


def warnings(stage: Stage) -> list[tuple[str, str, int]]:
    return [(line["game_id"], line["err"], line["games"]) for line in stage.lines if "labels dropped" in line["event"]]


async def test_each_event_has_the_labels_that_the_record_had_when_it_was_seen() -> None:
    stage = Stage(a=[UNAVAILABLE, UNAVAILABLE, UNAVAILABLE, HEALTHY], b=UNAVAILABLE)
    label(stage, "a", {"team": "eu"})
    worker = Worker(**stage.arguments())
    await ticks(worker, 3)
    label(stage, "a", {"team": "us"})
    await worker.tick()
    events = [entry.event for entry in await stage.log.read(0, 10)]
    assert {event.id: dict(event.labels) for event in events} == {
        "a:1": {"team": "eu"},
        "a:2": {"team": "us"},
        "b:1": {},
    }


async def test_other_labels_are_no_reason_to_let_go_of_a_connection() -> None:
    stage = Stage(a=HEALTHY)
    worker = Worker(**stage.arguments())
    await worker.tick()
    label(stage, "a", {"team": "eu"})
    await worker.tick()
    assert stage.prober.forgotten == []
    assert worker.status.target_set.by_id["a"].record.labels == {"team": "eu"}


async def test_a_wrong_label_is_named_once_and_its_game_is_probed_with_its_other_labels() -> None:
    stage = Stage(a=UNAVAILABLE)
    label(stage, "a", {"team": "eu\nus", "tier": "1"})
    worker = Worker(**stage.arguments())
    await ticks(worker, 5)
    fault = 'label "team": its value has a line break or another control character'
    assert warnings(stage) == [("a", fault, 1)]
    assert [dict(entry.event.labels) for entry in await stage.log.read(0, 10)] == [{"tier": "1"}]
    label(stage, "a", {"te-am": "eu"})
    await ticks(worker, 2)
    assert len(warnings(stage)) == 2
    label(stage, "a", {"team": "eu"})
    await ticks(worker, 2)
    assert len(warnings(stage)) == 2


async def test_each_fault_is_named_and_of_very_many_the_first_ten() -> None:
    stage = Stage(a=HEALTHY, b=HEALTHY, c=HEALTHY)
    for game_id, name in (("a", "1"), ("b", "2"), ("c", "1")):
        label(stage, game_id, {name: "x"})
    worker = Worker(**stage.arguments())
    await ticks(worker, 2)
    assert [(game_id, games) for game_id, _, games in warnings(stage)] == [("a", 2), ("b", 1)]
    stage.records.replace_all(replace(game(f"game-{n}"), labels={f"{n}": "x"}) for n in range(100))
    await ticks(worker, 2)
    lines = [line for line in stage.lines if "labels dropped" in line["event"]]
    assert len(lines) == 2 + 11
    assert (lines[-1]["err"], lines[-1]["games"]) == ("and more faults of this kind", 100)


async def test_ten_thousand_games_with_the_same_wrong_label_are_one_line_of_the_log() -> None:
    stage = Stage()
    stage.records.replace_all(replace(game(f"game-{n:05}"), labels={"7": "x", "a": "b"}) for n in range(10_000))
    worker = Worker(**stage.arguments(max_concurrency=1000))
    await ticks(worker, 2)
    assert [games for _, _, games in warnings(stage)] == [10_000]
    assert len({id(game.record.labels) for game in worker.status.target_set.games}) == 1
