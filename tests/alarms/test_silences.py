"""The silences of a log are in force within two seconds, and end by themselves, also while the log is away."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import timedelta

import structlog
from structlog.testing import LogCapture

from healthprobe._util.aio import background_tasks
from healthprobe.alarms.silences import Silences
from healthprobe.domain.alarms.silence import SILENCES, Matcher, Silence
from healthprobe.testing.clock import FIRST_INSTANT, FakeClock
from healthprobe.testing.memory import InMemoryLog
from healthprobe.testing.stage import run_for


class Followed:
    """A log and its silences, followed on a virtual clock."""

    def __init__(self) -> None:
        self.log = InMemoryLog()
        self.capture = LogCapture()
        logger = structlog.wrap_logger(None, processors=[self.capture])
        self.silences = Silences(self.log, logger=logger, clock=FakeClock().now)

    @property
    def games(self) -> list[str]:
        return [each.matcher.games[0] for each in self.silences.in_force]

    @property
    def lines(self) -> list[str]:
        return [line["event"] for line in self.capture.entries]

    async def keep(self, game_id: str, *, until: float) -> None:
        ends_at = FIRST_INSTANT + timedelta(seconds=until)
        silence = Silence(
            id=f"s-{game_id}",
            matcher=Matcher(games=(game_id,)),
            who="",
            why="",
            created_at=FIRST_INSTANT,
            ends_at=ends_at,
        )
        await self.log.put_documents(SILENCES, {silence.id: json.dumps(silence.as_document())})


async def test_a_silence_is_in_force_two_seconds_after_it_was_made_and_one_that_was_ended_is_not() -> None:
    followed = Followed()
    async with background_tasks(followed.silences.run()):
        await asyncio.sleep(10.5)
        await followed.keep("a", until=3600.0)
        await asyncio.sleep(2.0)
        assert followed.games == ["a"]
        await followed.log.put_documents(SILENCES, {"s-a": None})
        await asyncio.sleep(2.0)
        assert followed.games == []


async def test_silences_end_by_themselves_each_at_its_time() -> None:
    followed = Followed()
    await followed.keep("long", until=60.0)
    await followed.keep("short", until=30.0)
    await followed.silences.refresh()
    assert followed.games == ["short", "long"]
    known = followed.silences.in_force
    assert followed.silences.in_force is known, "nothing is computed while nothing changes"
    await asyncio.sleep(30.0)
    assert followed.games == ["long"]
    await asyncio.sleep(30.0)
    assert followed.games == []


async def test_while_the_log_is_away_the_last_silences_stay_in_force_until_they_end() -> None:
    followed = Followed()
    await followed.keep("a", until=60.0)
    async with background_tasks(followed.silences.run()):
        await asyncio.sleep(1.5)
        followed.log.unavailable = True
        await asyncio.sleep(50.0)
        assert followed.games == ["a"]
        await asyncio.sleep(20.0)
        assert followed.games == []
        followed.log.unavailable = False
        await followed.keep("b", until=600.0)
        await asyncio.sleep(2.0)
        assert followed.games == ["b"]
    assert followed.lines == ["silences cannot be read, the last ones stay in force"], "once for the whole outage"


async def test_a_silence_that_another_program_altered_silences_nothing_and_is_named_once() -> None:
    followed = Followed()
    await followed.keep("a", until=60.0)
    await followed.log.put_documents(SILENCES, {"altered": '{"games": []}'})
    await run_for(10.0, followed.silences.run())
    await followed.keep("b", until=60.0)
    await run_for(10.0, followed.silences.run())
    assert sorted(followed.games) == ["a", "b"]
    assert [(line["event"], line["id"]) for line in followed.capture.entries] == [
        ("a silence cannot be read, it silences nothing", "altered")
    ]


async def test_a_silence_leaves_the_log_a_day_after_its_end() -> None:
    followed = Followed()
    await followed.keep("a", until=60.0)
    await followed.silences.refresh()
    await asyncio.sleep(86_000.0)
    await followed.silences.refresh()
    assert await followed.log.documents(SILENCES) != {}


async def test_a_log_without_documents_has_no_silences() -> None:
    silences = Silences(object())
    await run_for(5.0, silences.run())
    assert silences.in_force == ()


def test_a_matcher_is_compared_by_its_conditions() -> None:
    matcher = Matcher(labels={"team": "eu"})
    assert matcher == replace(matcher, labels={"team": "eu"})
