"""Promise 2 over the whole program: killed again and again, it tells each transition exactly once.

About fifteen kills by default; two hundred with HEALTHPROBE_SYSTEM_TESTS=full, which takes three minutes.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable

import pytest
from tests.system.life import EMBEDDED, IN_FILE, Life, Lives
from tests.system.outages import expected_of, outages_of, script_of

from healthprobe.domain.event import HealthEvent, ProbeFailedDetails
from healthprobe.testing.fleet import FleetProcess

GAMES_WATCHED = 24
INTERVAL = 0.2
THRESHOLD = 2
OPTIONS = f"--interval 200ms --timeout 120ms --failures {THRESHOLD}"

LONGEST_SHORT_LIFE = 1.5


@pytest.mark.timeout(400)
async def test_the_log_of_a_program_that_is_killed_all_the_time_equals_what_the_engines_script_says(
    lives_in: Callable[[str], Lives], *, full: bool
) -> None:
    cycles, kills = (14, 100) if full else (1, 4)
    outages = {f"game-{number}": outages_of(number, GAMES_WATCHED, cycles) for number in range(GAMES_WATCHED)}
    with FleetProcess({game_id: script_of(each) for game_id, each in outages.items()}) as fleet:
        began = fleet.began + time.time() - time.monotonic()
        calm = began + max(each[-1].ends for each in outages.values())
        with_file, embedded = lives_in("with-file"), lives_in("embedded")
        with_file.watch(fleet.endpoints)
        await embedded.embed(fleet.endpoints)
        await asyncio.gather(
            kill_until(calm, kills, with_file, records=IN_FILE),
            kill_until(calm, kills, embedded, records=EMBEDDED),
        )
    for lives in (with_file, embedded):
        events = await lives.events()
        for game_id, its_outages in outages.items():
            of_game = [event for event in events if event.game_id == game_id]
            expected = list(expected_of(its_outages))
            assert [event.event_type for event in of_game] == [each.event_type for each in expected], game_id
            for each, event in zip(expected, of_game, strict=True):
                assert each.is_told_by(event, began), (event, event.occurred_at.timestamp() - began, each)
            assert [event.id for event in of_game] == [f"{game_id}:{number + 1}" for number in range(len(of_game))]
            assert {event.container_id for event in of_game} == {f"container-of-{game_id}"}
        assert {count_of(event) for event in events if isinstance(event.details, ProbeFailedDetails)} == {THRESHOLD}
        assert len(events) == 2 * cycles * GAMES_WATCHED
        printed = {event["id"]: event for event in lives.printed}
        import sys

        print("FIG", len(lives._lives) - 1, len(events), len(lives.printed) - len(printed), file=sys.stderr)
        assert list(printed.values()) == [event.as_document() for event in events]


async def kill_until(calm: float, least: int, lives: Lives, *, records: str) -> None:
    """Kill one life after the other until so late, and so many at least; then let one end well."""
    kills = 0
    while time.time() < calm or kills < least:
        life = lives.begin(OPTIONS, records=records)
        await DEATHS[kills % len(DEATHS)](life)
        life.kill()
        kills += 1
    last = lives.begin(OPTIONS, records=records)
    await last.began()
    await asyncio.sleep(4 * INTERVAL)
    await last.stopped()


async def at_any_moment(_: Life) -> None:
    """Also while it starts."""
    await asyncio.sleep(random.uniform(0.0, LONGEST_SHORT_LIFE))


async def as_an_event_leaves(life: Life) -> None:
    """Between the printing of its first event and the noting of that, or a little later."""
    latest = time.monotonic() + LONGEST_SHORT_LIFE
    while not life.has_printed and time.monotonic() < latest:  # noqa: ASYNC110  a file tells nobody that it has grown
        await asyncio.sleep(0.0005)
    await asyncio.sleep(random.choice((0.0, random.uniform(0.0, 0.02))))


async def after_some_ticks(life: Life) -> None:
    await life.began()
    await asyncio.sleep(random.uniform(3.5, 6.5) * INTERVAL)


DEATHS = (at_any_moment, after_some_ticks, as_an_event_leaves, after_some_ticks)


def count_of(event: HealthEvent) -> int:
    return int(event.details.as_document()["consecutive_failures"])
