"""Promise 2 over the whole program: killed again and again, it tells each transition exactly once.

Twelve kills by default; more than two hundred with HEALTHPROBE_SYSTEM_TESTS=full, which takes three minutes.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable

import pytest
from tests.support.waiting import until
from tests.system.life import EMBEDDED, IN_FILE, Lives
from tests.system.play import Play

THRESHOLD = 2
OPTIONS = f"--interval 300ms --timeout 250ms --failures {THRESHOLD}"

SHORT_LIFE = 1.2
"""The longest short life, in seconds: half as long again as a start on an idle machine."""


@pytest.mark.timeout(900)
async def test_the_log_of_a_program_that_is_killed_all_the_time_equals_what_the_engines_script_says(
    lives_in: Callable[[str], Lives], *, full: bool
) -> None:
    play = Play(acts=35 if full else 2)
    async with play:
        from_file, embedded = lives_in("from-file"), lives_in("embedded")
        from_file.watch(play.endpoints)
        await embedded.embed(play.endpoints)
        audience = ((from_file, IN_FILE), (embedded, EMBEDDED))
        for _ in range(play.acts):
            await asyncio.gather(play.perform(), *(two_short_lives(lives, records) for lives, records in audience))
            await asyncio.gather(*(a_life_that_sees_it_all(lives, records, play) for lives, records in audience))
        await asyncio.gather(*(a_life_that_ends_well(lives, records) for lives, records in audience))
    for lives, _ in audience:
        await assert_it_told_exactly(play, lives)


async def assert_it_told_exactly(play: Play, lives: Lives) -> None:
    events = await lives.events()
    for game_id in play.games:
        of_game = [event for event in events if event.game_id == game_id]
        expected = play.expected(game_id)
        assert [event.event_type for event in of_game] == [each.event_type for each in expected], game_id
        for each, event in zip(expected, of_game, strict=True):
            assert each.is_told_by(event), f"{event} is not {each}"
            if event.event_type == "probe_failed":
                assert event.details.as_document()["consecutive_failures"] == THRESHOLD
        assert [event.id for event in of_game] == [f"{game_id}:{number}" for number in range(1, len(of_game) + 1)]
        assert {event.container_id for event in of_game} <= {f"container-of-{game_id}"}
    assert len(events) == play.events_due > 0
    printed = {event["id"]: event for event in lives.printed}
    assert len(lives.printed) - len(printed) < len(events), "each life prints again what an earlier one has printed"
    assert list(printed.values()) == [event.as_document() for event in events]


async def two_short_lives(lives: Lives, records: str) -> None:
    """One is killed at any moment, also while it starts, and one as its first event leaves it."""
    life = lives.begin(OPTIONS, records=records)
    await asyncio.sleep(random.uniform(0.0, SHORT_LIFE))
    life.kill()

    life = lives.begin(OPTIONS, records=records)
    latest = time.monotonic() + SHORT_LIFE
    while not life.has_printed and time.monotonic() < latest:  # noqa: ASYNC110  a file tells nobody that it has grown
        await asyncio.sleep(0.0005)
    await asyncio.sleep(random.choice((0.0, random.uniform(0.0, 0.02))))
    life.kill()


async def a_life_that_sees_it_all(lives: Lives, records: str, play: Play) -> None:
    """It is killed when the log has the last event of the act, at once or a little later."""
    life = lives.begin(OPTIONS, records=records)
    await life.began()
    await until(lambda: lives.told_so_far >= play.events_due, "the log has every event of this act")
    await asyncio.sleep(random.choice((0.0, random.uniform(0.0, 0.6))))
    life.kill()


async def a_life_that_ends_well(lives: Lives, records: str) -> None:
    life = lives.begin(OPTIONS, records=records)
    await life.began()
    await asyncio.sleep(0.6)
    await life.stopped()
