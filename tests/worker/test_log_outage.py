"""The log is away, slow, broken, or loses acknowledgements: nothing is lost, nothing comes twice, no probe waits."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from itertools import pairwise

import pytest

from healthprobe.domain.event import EventType
from healthprobe.domain.outcome import HEALTHY
from healthprobe.ports import LogError
from healthprobe.testing.clock import FIRST_INSTANT
from healthprobe.testing.memory import InMemoryLog
from healthprobe.testing.prober import UNAVAILABLE, Answer, Script
from healthprobe.testing.stage import Stage, game, run_for, ticks
from healthprobe.worker.event_writer import RETRY_SET_ASIDE
from healthprobe.worker.worker import Worker

FAILED = ("a", "probe_failed", 3)
OUTAGES = pytest.mark.parametrize("switch", ["unavailable", "broken"])


@pytest.mark.proves("log-outage-transition")
@OUTAGES
async def test_a_transition_waits_until_the_log_is_back_and_keeps_the_instant_at_which_it_was_seen(switch: str) -> None:
    stage = Stage(a=UNAVAILABLE)
    worker = Worker(**stage.arguments())
    await ticks(worker, 2)
    setattr(stage.log, switch, True)
    await worker.tick()
    await asyncio.sleep(3600)
    await worker.tick()
    assert stage.story == []
    setattr(stage.log, switch, False)
    await worker.tick()
    assert stage.story == [FAILED]
    assert stage.log.events[0].occurred_at == FIRST_INSTANT


@OUTAGES
async def test_in_run_a_transition_is_taken_soon_after_the_log_is_back_without_waiting_for_a_tick(switch: str) -> None:
    stage = Stage(a=UNAVAILABLE)
    running = asyncio.ensure_future(run_for(3600, Worker(**stage.arguments(interval=600.0)).run()))
    await asyncio.sleep(1000)
    setattr(stage.log, switch, True)
    await asyncio.sleep(1700 - 1000)
    assert len(stage.prober.probes) == 3
    assert stage.story == []
    setattr(stage.log, switch, False)
    await asyncio.sleep(6)
    assert len(stage.prober.probes) == 3
    assert stage.story == [FAILED]
    seen_at = FIRST_INSTANT + timedelta(seconds=stage.prober.began("a")[2])
    assert stage.log.events[0].occurred_at == seen_at
    running.cancel()


async def test_while_a_failure_waits_later_outcomes_are_counted_and_decide_nothing() -> None:
    stage = Stage(a=[UNAVAILABLE] * 5 + [HEALTHY] * 2 + [UNAVAILABLE] + [HEALTHY])
    worker = Worker(**stage.arguments())
    await ticks(worker, 2)
    stage.log.unavailable = True
    await ticks(worker, 6)
    assert list(worker.status.waiting) == ["a"]
    stage.log.unavailable = False
    await worker.tick()
    assert stage.story == [FAILED]
    await worker.tick()
    assert stage.story == [FAILED, ("a", "probe_recovered", 6)]


@pytest.mark.proves("no-orphan-recovery")
async def test_an_orphan_recovery_is_never_sent() -> None:
    stage = Stage(a=[UNAVAILABLE] * 3 + [HEALTHY] * 10)
    worker = Worker(**stage.arguments())
    await ticks(worker, 2)
    stage.log.unavailable = True
    await ticks(worker, 5)
    stage.log.unavailable = False
    await ticks(worker, 3)
    assert stage.story == [FAILED, ("a", "probe_recovered", 3)]


async def test_a_waiting_recovery_is_taken_and_a_new_run_decides_again() -> None:
    stage = Stage(a=[UNAVAILABLE] * 3 + [HEALTHY] + [UNAVAILABLE] * 10)
    worker = Worker(**stage.arguments())
    await ticks(worker, 3)
    stage.log.unavailable = True
    await ticks(worker, 6)
    stage.log.unavailable = False
    await ticks(worker, 2)
    assert stage.story == [FAILED, ("a", "probe_recovered", 3), ("a", "probe_failed", 7)]


async def test_transitions_of_many_games_enter_in_the_order_in_which_they_were_seen() -> None:
    late = {f"g{start}": [HEALTHY] * start + [UNAVAILABLE] for start in range(6)}
    stage = Stage(**dict(reversed(late.items())))
    worker = Worker(**stage.arguments())
    await ticks(worker, 1)
    stage.log.unavailable = True
    for _ in range(9):
        await worker.tick()
        await asyncio.sleep(1)
    stage.log.unavailable = False
    await worker.tick()
    assert [event.game_id for event in stage.log.events] == list(late)
    instants = [event.occurred_at for event in stage.log.events]
    assert instants == sorted(instants)


@pytest.mark.proves("log-outage-memory")
async def test_memory_is_bounded_by_one_transition_a_game_however_long_the_log_is_away() -> None:
    flapping: list[Answer] = [UNAVAILABLE, UNAVAILABLE, UNAVAILABLE, HEALTHY] * 50
    stage = Stage(a=flapping, b=flapping, c=HEALTHY)
    worker = Worker(**stage.arguments())
    await worker.tick()
    stage.log.unavailable = True
    await ticks(worker, 150)
    assert sorted(worker.status.waiting) == ["a", "b"]
    assert set(worker.status.states) == {"a", "b"}
    stage.log.unavailable = False
    await ticks(worker, 60)
    for game_id in "ab":
        kinds = [event.event_type for event in stage.log.events_of(game_id)]
        assert len(kinds) > 10
        assert all(kind != following for kind, following in pairwise(kinds))


async def test_an_event_whose_acknowledgement_was_lost_is_not_written_twice() -> None:
    stage = Stage(a=[UNAVAILABLE] * 5 + [HEALTHY])
    worker = Worker(**stage.arguments())
    await ticks(worker, 2)
    stage.log.lose_acknowledgement = True
    await ticks(worker, 2)
    assert stage.story == [FAILED]
    stage.log.lose_acknowledgement = False
    await ticks(worker, 2)
    assert stage.story == [FAILED, ("a", "probe_recovered", 5)]
    assert stage.telemetry.health_events == {EventType.PROBE_FAILED: 1, EventType.PROBE_RECOVERED: 1}
    assert len(stage.lines_of("probe event published")) == 2


async def test_a_log_that_loses_every_acknowledgement_still_gets_every_event_exactly_once() -> None:
    stage = Stage(a=[*[UNAVAILABLE] * 4, HEALTHY, HEALTHY] * 10)
    stage.log.lose_acknowledgement = True
    await ticks(Worker(**stage.arguments()), 60)
    assert stage.story == [("a", "probe_failed", 3), ("a", "probe_recovered", 4)] * 10


async def test_games_that_fail_in_one_tick_are_appended_in_batches_and_not_one_by_one() -> None:
    stage = Stage(**{f"g{number}": UNAVAILABLE for number in range(200)})
    await ticks(Worker(**stage.arguments(max_concurrency=1000)), 3)
    assert len(stage.log.events) == 200
    assert len(stage.log.offered) <= 3


async def test_more_transitions_than_fit_one_batch_are_all_taken_in_one_tick() -> None:
    stage = Stage(**{f"g{number}": UNAVAILABLE for number in range(1100)})
    await ticks(Worker(**stage.arguments(failures_threshold=1)), 1)
    assert len({event.game_id for event in stage.log.events}) == 1100


async def test_a_slow_log_delays_no_probe() -> None:
    flapping: list[Answer] = [UNAVAILABLE, UNAVAILABLE, UNAVAILABLE, HEALTHY] * 20
    stage = Stage(**dict.fromkeys([f"g{number}" for number in range(40)], flapping))
    asyncio.get_running_loop().call_later(4.9, setattr, stage.log, "delay", 3.0)
    await run_for(60.0, Worker(**stage.arguments()).run())
    assert len(stage.log.events) > 40
    assert len(stage.prober.probes) > 40 * 11
    assert stage.telemetry.dropped_ticks == 0
    assert max(stage.telemetry.lateness) < 0.02


async def test_a_log_that_hangs_when_a_game_appears_delays_the_ticks_probes_by_no_more_than_its_patience() -> None:
    stage = Stage(a=HEALTHY, b=HEALTHY)
    stage.log.delay = 100.0
    await run_for(20.0, Worker(**stage.arguments()).run())
    assert len(stage.prober.probes) >= 6
    assert stage.telemetry.dropped_ticks == 0


async def test_a_log_that_raises_cancelled_error_of_its_own_is_a_log_that_is_away() -> None:
    class Cancelled(InMemoryLog):
        async def pass_switches(self) -> None:
            if 4.0 < asyncio.get_running_loop().time() < 30.0:
                raise asyncio.CancelledError

    stage = Stage(a=UNAVAILABLE)
    stage.log = Cancelled()
    await run_for(50.0, Worker(**stage.arguments()).run())
    assert len(stage.prober.probes) == 10
    assert stage.story == [FAILED]


async def test_a_call_of_the_log_that_never_returns_is_given_up_and_made_again() -> None:
    stage = Stage(a=UNAVAILABLE)
    for at, delay in [(4.9, 1e6), (20.0, 0.0)]:
        asyncio.get_running_loop().call_later(at, setattr, stage.log, "delay", delay)
    await run_for(60.0, Worker(**stage.arguments()).run())
    assert stage.story == [FAILED]
    seen_at = FIRST_INSTANT + timedelta(seconds=stage.prober.began("a")[2])
    assert stage.log.events[0].occurred_at == seen_at


async def test_on_commit_is_called_when_the_log_has_taken_events_and_not_before() -> None:
    commits: list[int] = []
    stage = Stage(a=[UNAVAILABLE] * 5 + [HEALTHY])
    worker = Worker(**stage.arguments(on_commit=lambda: commits.append(len(stage.log.events))))
    await ticks(worker, 2)
    stage.log.unavailable = True
    await ticks(worker, 2)
    assert commits == []
    stage.log.unavailable = False
    await ticks(worker, 2)
    assert commits == [1, 2]


async def test_an_event_that_the_log_cannot_hold_is_set_aside_and_blocks_no_other() -> None:
    stage = Stage(**{f"game_{number}": UNAVAILABLE for number in range(5)})
    stage.log.unacceptable = {"game_2"}
    worker = Worker(**stage.arguments())
    await run_for(60.0, worker.run())
    assert sorted(event.game_id for event in stage.log.events) == ["game_0", "game_1", "game_3", "game_4"]
    assert (worker.status.waiting, worker.status.log_away_for) == ({}, 0.0)
    assert worker.status.set_aside["game_2"].error == "game_2:1 will never be taken"
    (line,) = stage.lines_of("health event set aside: the log cannot hold it")
    assert (line["log_level"], line["game_id"], line["err"]) == ("error", "game_2", "game_2:1 will never be taken")


async def test_an_event_that_was_set_aside_is_tried_again_as_it_was_decided() -> None:
    stage = Stage(**{f"game_{number}": UNAVAILABLE for number in range(5)})
    stage.log.unacceptable = {"game_2"}
    worker = Worker(**stage.arguments())
    asyncio.get_running_loop().call_later(100.0, stage.log.unacceptable.clear)
    await run_for(100.0 + RETRY_SET_ASIDE, worker.run())
    assert worker.status.set_aside == {}
    assert len(stage.lines_of("health event set aside: the log cannot hold it")) == 1
    assert stage.log.events[-1].game_id == "game_2"
    assert stage.log.events[-1].details.as_document()["consecutive_failures"] == 3


async def test_a_game_that_the_log_cannot_look_up_is_set_aside_and_blocks_no_other() -> None:
    stage = Stage(**{f"game_{number}": UNAVAILABLE for number in range(5)})
    stage.log.unreadable = {"game_2"}
    worker = Worker(**stage.arguments())
    await run_for(30.0, worker.run())
    assert sorted(event.game_id for event in stage.log.events) == ["game_0", "game_1", "game_3", "game_4"]
    assert set(worker.status.set_aside) == {"game_2"}
    assert stage.prober.probed.count("game_2") == 6


async def test_a_game_that_was_set_aside_and_is_listed_anew_starts_afresh() -> None:
    stage = Stage(a=UNAVAILABLE)
    stage.log.unacceptable = {"a"}
    worker = Worker(**stage.arguments())
    await ticks(worker, 4)
    stage.log.unacceptable = set()
    stage.records.remove("a")
    await ticks(worker, 1)
    stage.records.put(game("a"))
    await ticks(worker, 3)
    assert stage.story == [("a", "probe_failed", 3)]
    assert worker.status.set_aside == {}


async def test_a_log_that_refuses_everything_for_good_is_unavailable_and_sets_nothing_aside(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def refuse(_: object) -> None:
        raise LogError("permission denied", permanent=True)

    stage = Stage(a=UNAVAILABLE, b=UNAVAILABLE)
    worker = Worker(**stage.arguments())
    await ticks(worker, 1)
    monkeypatch.setattr(stage.log, "append", refuse)
    await ticks(worker, 6)
    assert (set(worker.status.waiting), worker.status.set_aside) == ({"a", "b"}, {})
    await asyncio.sleep(20.0)
    assert worker.status.longest_wait == 20.0
    assert worker.status.log_error == "permission denied"


async def test_a_log_that_is_busy_with_much_is_not_said_to_be_away_because_a_game_starts() -> None:
    answers: dict[str, Script] = {f"g{number}": [HEALTHY, UNAVAILABLE] for number in range(5000)}
    stage = Stage(**answers)
    worker = Worker(**stage.arguments(failures_threshold=1, max_concurrency=5000))
    running = asyncio.ensure_future(run_for(20.0, worker.run()))
    await asyncio.sleep(4.9)
    stage.log.delay = 0.4
    await asyncio.sleep(3.2)
    stage.records.put(game("new"))
    worker.refresh()
    await running
    assert len(stage.log.events) == 5000
    assert stage.lines_of("publish health event") == []
