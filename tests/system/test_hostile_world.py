"""A hostile world: whatever all engines do at once, verdicts stay right, each is told once, and the run stays up."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Iterator

import pytest
from chaos.stepped_clock import SteppedClock
from tests.probing.test_names import NO_SUCH_NAME, NameServer
from tests.support.waiting import until
from tests.system.life import Life, Lives
from tests.system.name_server_at import command_at

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


async def told(life: Life, count: int) -> None:
    """Wait until so many events were printed in all, and some ticks longer: there must be no more."""
    await until(lambda: len(life.printed) >= count, f"{count} events")
    await some_ticks()
    assert len(life.printed) == count
    assert life.is_up


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
async def test_a_fleet_that_all_at_once_hangs_or_refuses_and_is_back_is_told_once_each_way(
    fault: Behaviour, cause: str, lives: Lives
) -> None:
    games = named(100)
    with FleetProcess(dict.fromkeys(games, HEALTHY)) as fleet:
        lives.watch(fleet.endpoints)
        life = lives.begin(OPTIONS)
        await life.began()
        await some_ticks(2)
        assert life.printed == []
        fleet.become(dict.fromkeys(games, fault))
        await told(life, 100)
        fleet.become(dict.fromkeys(games, 200))
        await told(life, 200)
        await life.stopped()
    events = await lives.events()
    assert types_by_game(events) == dict.fromkeys(games, FAILED_AND_BACK)
    causes = {str(event.details.as_document().get("last_error", "")) for event in events} - {""}
    for told_cause in causes:
        assert re.fullmatch(cause, told_cause)


@pytest.mark.proves("clock-stepped")
async def test_a_clock_that_is_stepped_a_day_ahead_and_two_back_accuses_nobody_and_hides_nothing(lives: Lives) -> None:
    clock = SteppedClock(lives.folder / "clock")
    games = named(40)
    dying = games[:5]
    with FleetProcess(dict.fromkeys(games, HEALTHY)) as fleet:
        lives.watch(fleet.endpoints)
        life = lives.begin(OPTIONS, program=clock.command)
        await life.began()
        for step in (DAY, -DAY, 0.0):
            clock.step(step)
            await some_ticks(2)
        assert life.printed == []
        clock.step(DAY)
        fleet.become(dict.fromkeys(dying, "crash"))
        await until(lambda: len(life.printed) == len(dying), "those that died are told")
        clock.step(-DAY)
        fleet.become(dict.fromkeys(dying, 200))
        await told(life, 2 * len(dying))
        figures = await life.stopped()
    events = await lives.events()
    assert types_by_game(events) == dict.fromkeys(dying, FAILED_AND_BACK)
    assert min(event.occurred_at for event in events) < max(event.occurred_at for event in events)
    assert events[0].occurred_at > events[-1].occurred_at, "the clock was stepped"
    assert figures["inconclusive"] < figures["healthy"] / 10


@pytest.mark.proves("dns-silent")
async def test_name_servers_that_fall_silent_accuse_no_engine_whose_name_was_known_and_every_unknown_one_once(
    lives: Lives, names: NameServer
) -> None:
    known, unknown, gone = named(20, "known"), named(20, "unknown"), named(5, "gone")
    names.addresses.update({f"{game}.example": "127.0.0.1" for game in known})
    names.errors.update({f"{game}.example": NO_SUCH_NAME for game in gone})
    with FleetProcess(dict.fromkeys((*known, *unknown, *gone), HEALTHY)) as fleet:
        by_name = {game: at.replace("127.0.0.1", f"{game}.example") for game, at in fleet.endpoints.items()}
        lives.watch({game: by_name[game] for game in (*known, *gone)})
        life = lives.begin(f"{OPTIONS} --connections fresh", program=command_at(names.port))
        await life.began()
        await told(life, len(gone))

        names.addresses.clear()
        names.errors.clear()
        lives.watch(by_name)
        await told(life, len(gone) + len(unknown))

        names.addresses.update({f"{game}.example": "127.0.0.1" for game in (*known, *unknown, *gone)})
        await told(life, 2 * (len(gone) + len(unknown)))
        await life.stopped()
    events = await lives.events()
    assert types_by_game(events) == dict.fromkeys((*gone, *unknown), FAILED_AND_BACK)
    causes = Counter(str(event.details.as_document().get("last_error")) for event in events)
    assert causes["timed out after 200ms resolving the name"] == len(unknown)
    for game in gone:
        assert causes[f"cannot resolve the name {game}.example: no such name"] == 1
