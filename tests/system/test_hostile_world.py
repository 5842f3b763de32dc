"""A hostile world: whatever all engines do at once, each transition is an event once, and the run stays up."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Iterator

import pytest
from chaos.stepped_clock import SteppedClock
from tests.probing.names.name_server import NO_SUCH_NAME, NameServer
from tests.support.waiting import until
from tests.system.runs import Run, Runs
from tests.system.with_name_server import command_at

from healthprobe.domain.event import EventType, HealthEvent
from healthprobe.testing.engines import Behaviour, Script
from healthprobe.testing.fleet import FleetProcess

pytestmark = pytest.mark.slow

INTERVAL = 0.5
OPTIONS = "--interval 500ms --timeout 200ms --failures 2"
HEALTHY = Script()
DAY = 86_400.0

FAILED_AND_BACK = [EventType.PROBE_FAILED, EventType.PROBE_RECOVERED]


def named(count: int, name: str = "game") -> list[str]:
    return [f"{name}-{number}" for number in range(count)]


def types_by_game(events: list[HealthEvent]) -> dict[str, list[EventType]]:
    found: dict[str, list[EventType]] = {}
    for event in events:
        found.setdefault(event.game_id, []).append(event.event_type)
        assert event.sequence == len(found[event.game_id])
    return found


async def some_ticks(count: float = 3.0) -> None:
    await asyncio.sleep(count * INTERVAL)


async def events_come(run: Run, count: int) -> None:
    """Waits until `count` events are printed in all, and some ticks longer: there must be no more."""
    await until(lambda: len(run.printed) >= count, f"{count} events")
    await some_ticks()
    assert len(run.printed) == count
    assert run.is_up


@pytest.fixture
def names() -> Iterator[NameServer]:
    server = NameServer()
    yield server
    server.close()


@pytest.mark.proves("all-engines-down")
@pytest.mark.parametrize(
    ("fault", "cause"),
    [("hang", "timed out after 200ms waiting for the response head"), ("crash", "connection (refused|reset)")],
)
async def test_a_fleet_that_hangs_or_refuses_all_at_once_and_recovers_is_reported_once_each_way(
    fault: Behaviour, cause: str, runs: Runs
) -> None:
    games = named(100)
    with FleetProcess(dict.fromkeys(games, HEALTHY)) as fleet:
        runs.watch(fleet.endpoints)
        run = runs.start(OPTIONS)
        await run.started()
        await some_ticks(2)
        assert run.printed == []
        fleet.become(dict.fromkeys(games, fault))
        await events_come(run, 100)
        fleet.become(dict.fromkeys(games, 200))
        await events_come(run, 200)
        await run.stopped()
    events = await runs.events()
    assert types_by_game(events) == dict.fromkeys(games, FAILED_AND_BACK)
    causes = {str(event.details.as_document().get("last_error", "")) for event in events} - {""}
    for found_cause in causes:
        assert re.fullmatch(cause, found_cause)


@pytest.mark.proves("clock-stepped")
async def test_a_clock_stepped_a_day_ahead_and_two_back_makes_and_hides_no_event(runs: Runs) -> None:
    clock = SteppedClock(runs.folder / "clock")
    games = named(40)
    dying = games[:5]
    with FleetProcess(dict.fromkeys(games, HEALTHY)) as fleet:
        runs.watch(fleet.endpoints)
        run = runs.start(OPTIONS, program=clock.command)
        await run.started()
        for step in (DAY, -DAY, 0.0):
            clock.step(step)
            await some_ticks(2)
        assert run.printed == []
        clock.step(DAY)
        fleet.become(dict.fromkeys(dying, "crash"))
        await until(lambda: len(run.printed) == len(dying), "the dead engines fail")
        clock.step(-DAY)
        fleet.become(dict.fromkeys(dying, 200))
        await events_come(run, 2 * len(dying))
        figures = await run.stopped()
    events = await runs.events()
    assert types_by_game(events) == dict.fromkeys(dying, FAILED_AND_BACK)
    assert min(event.occurred_at for event in events) < max(event.occurred_at for event in events)
    assert events[0].occurred_at > events[-1].occurred_at, "the clock was stepped"
    assert figures["inconclusive"] < figures["healthy"] / 10


@pytest.mark.proves("dns-silent")
async def test_silent_name_servers_fail_no_engine_whose_name_was_known_and_each_unknown_one_once(
    runs: Runs, names: NameServer
) -> None:
    known, unknown, gone = named(20, "known"), named(20, "unknown"), named(5, "gone")
    names.addresses.update({f"{game}.example": "127.0.0.1" for game in known})
    names.errors.update({f"{game}.example": NO_SUCH_NAME for game in gone})
    with FleetProcess(dict.fromkeys((*known, *unknown, *gone), HEALTHY)) as fleet:
        by_name = {game: at.replace("127.0.0.1", f"{game}.example") for game, at in fleet.endpoints.items()}
        runs.watch({game: by_name[game] for game in (*known, *gone)})
        run = runs.start(f"{OPTIONS} --connections fresh", program=command_at(names.port))
        await run.started()
        await events_come(run, len(gone))

        names.addresses.clear()
        names.errors.clear()
        runs.watch(by_name)
        await events_come(run, len(gone) + len(unknown))

        names.addresses.update({f"{game}.example": "127.0.0.1" for game in (*known, *unknown, *gone)})
        await events_come(run, 2 * (len(gone) + len(unknown)))
        await run.stopped()
    events = await runs.events()
    assert types_by_game(events) == dict.fromkeys((*gone, *unknown), FAILED_AND_BACK)
    causes = Counter(str(event.details.as_document().get("last_error")) for event in events)
    assert causes["timed out after 200ms resolving the name"] == len(unknown)
    for game in gone:
        assert causes[f"cannot resolve the name {game}.example: no such name"] == 1
