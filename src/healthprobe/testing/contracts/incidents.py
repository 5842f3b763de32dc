"""The contract of open incidents: a part of the suite of every log."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from healthprobe.domain.event import AlteredEvent, EventType
from healthprobe.ports import HealthEventLog
from healthprobe.testing.contracts.samples import AFTER_ALL_SAMPLES, ODD_GAME_IDS, ended, failed, history, recovered


@pytest.mark.asyncio
class IncidentsContract:
    """The tests of open incidents in a HealthEventLogContract, with its fixtures."""

    many = 10_000

    async def test_a_game_has_an_open_incident_while_its_last_event_is_a_probe_failed(
        self, log: HealthEventLog, rival: HealthEventLog
    ) -> None:
        assert await log.open_incidents() == {}
        await log.append([*history("game-6", 4), *history("game-7", 3), failed("game-8", 1)])
        expected = {"game-7": failed("game-7", 3), "game-8": failed("game-8", 1)}
        assert await log.open_incidents() == expected
        assert await rival.open_incidents() == expected

    async def test_an_incident_that_another_instance_ends_or_begins_is_seen(
        self, log: HealthEventLog, rival: HealthEventLog
    ) -> None:
        await log.append([failed("game-7", 1), failed("game-8", 1)])
        assert await rival.open_incidents() == {"game-7": failed("game-7", 1), "game-8": failed("game-8", 1)}
        await log.append([recovered("game-7", 2)])
        assert await rival.open_incidents() == {"game-8": failed("game-8", 1)}
        await log.append([failed("game-7", 3), recovered("game-8", 2), failed("game-9", 1), recovered("game-9", 2)])
        assert await rival.open_incidents() == {"game-7": failed("game-7", 3)}
        assert await log.open_incidents() == await rival.open_incidents()

    async def test_an_incident_that_ended_because_its_game_is_gone_is_not_open(self, log: HealthEventLog) -> None:
        await log.append([failed("game-7", 1), failed("game-8", 1), ended("game-7", 2)])
        assert await log.open_incidents() == {"game-8": failed("game-8", 1)}
        await log.append([failed("game-7", 3)])
        assert await log.open_incidents() == {"game-7": failed("game-7", 3), "game-8": failed("game-8", 1)}

    async def test_odd_game_ids_have_incidents_of_their_own(self, log: HealthEventLog) -> None:
        await log.append([failed(game_id, 1) for game_id in ODD_GAME_IDS])
        await log.append([recovered(ODD_GAME_IDS[0], 2)])
        assert await log.open_incidents() == {game_id: failed(game_id, 1) for game_id in ODD_GAME_IDS[1:]}

    async def test_an_open_incident_outlives_retention(self, log: HealthEventLog, rival: HealthEventLog) -> None:
        await log.append([*history("game-7", 3), *history("game-8", 2)])
        assert len(await rival.open_incidents()) == 1
        await log.prune(before=AFTER_ALL_SAMPLES, through=await log.end())
        for each in (log, rival):
            assert await each.open_incidents() == {"game-7": failed("game-7", 3)}

    async def test_the_open_incidents_of_many_games_are_found_at_once(self, log: HealthEventLog) -> None:
        games = [f"game-{number}" for number in range(self.many * 6 // 10)]
        await log.append([failed(game_id, 1) for game_id in games])
        assert len(await log.open_incidents()) == len(games)
        await log.append([recovered(game_id, 2) for game_id in games[: len(games) // 2]])
        open_ones = games[len(games) // 2 :]
        assert await log.open_incidents() == {game_id: failed(game_id, 1) for game_id in open_ones}

    async def test_an_altered_last_event_is_an_incident_where_its_sequence_says_so(
        self, log: HealthEventLog, alter: Callable[[str, int], Awaitable[None]]
    ) -> None:
        await log.append([*history("game-5", 2), failed("game-6", 1), *history("game-7", 3), *history("game-8", 2)])
        await alter("game-7", 3)
        await alter("game-8", 2)
        found = await log.open_incidents()
        assert found["game-6"] == failed("game-6", 1)
        assert {game_id: event for game_id, event in found.items() if game_id != "game-6"}.keys() == {"game-7"}
        assert isinstance(found["game-7"], AlteredEvent)
        assert (found["game-7"].sequence, found["game-7"].event_type) == (3, EventType.PROBE_FAILED)
        await log.append([recovered("game-7", 4), failed("game-8", 3)])
        assert await log.open_incidents() == {"game-6": failed("game-6", 1), "game-8": failed("game-8", 3)}
