"""The contract of a HealthEventLog as a pytest suite: events, open incidents, cursors, retention and dead letters."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from operator import attrgetter

import pytest

from healthprobe.domain.event import AlteredEvent, HealthEvent
from healthprobe.ports import HealthEventLog
from healthprobe.testing.contracts.dead_letters import DeadLettersContract
from healthprobe.testing.contracts.incidents import IncidentsContract
from healthprobe.testing.contracts.samples import (
    AFTER_ALL_SAMPLES,
    LABELS,
    ODD_GAME_IDS,
    ended,
    failed,
    history,
    recovered,
)

Alter = Callable[[str, int], Awaitable[None]]
"""Makes the event of a game with this sequence unreadable."""


async def events_in(log: HealthEventLog) -> list[HealthEvent]:
    """Returns all events of the log, in its order."""
    return [entry.event for entry in await log.read(0, 1_000_000)]


@pytest.mark.asyncio
class HealthEventLogContract(DeadLettersContract, IncidentsContract):
    """Subclass it as `class TestMyLog(HealthEventLogContract)` and define the fixture `log`: an empty log.

    If two processes can share the log, define `rival` too: a second connection to the same log. If a batch of several
    games may enter in any order, set `keeps_order_across_games` to False; the order of each game is required. `many` is
    a number of events that takes several batches to read, write and prune. If another program can alter what is in the
    log, define `alter`.
    """

    keeps_order_across_games = True
    many = 10_000

    @pytest.fixture
    def alter(self) -> Alter:
        """Returns a function that makes an event in the log unreadable, as another program could; skips by default."""
        pytest.skip("define the fixture alter for a log that another program can alter")

    @pytest.fixture
    def rival(self, log: HealthEventLog) -> HealthEventLog:
        return log

    async def holds(self, log: HealthEventLog, events: list[HealthEvent]) -> bool:
        """Returns whether exactly these are in the log, in an order that it allows."""
        found = await events_in(log)
        if self.keeps_order_across_games:
            return found == events
        return sorted(found, key=attrgetter("game_id")) == sorted(events, key=attrgetter("game_id"))

    async def test_an_empty_log_has_no_entries_and_no_last_events(self, log: HealthEventLog) -> None:
        assert await log.read(0, 10) == []
        assert await log.last_events(["game-7"]) == {}
        assert await log.append([]) == []

    async def test_a_game_s_events_enter_one_after_the_other(self, log: HealthEventLog) -> None:
        for event in history("game-7", 4):
            assert await log.append([event]) == [event]
        assert await events_in(log) == history("game-7", 4)

    async def test_several_events_of_one_game_enter_in_one_batch(self, log: HealthEventLog) -> None:
        batch = [*history("game-7", 3), *history("game-8", 2)]
        assert await log.append(batch) == batch
        assert await self.holds(log, batch)

    async def test_an_event_that_would_leave_a_gap_stays_out(self, log: HealthEventLog) -> None:
        assert await log.append([recovered("game-7", 2)]) == [None]
        await log.append([failed("game-7", 1)])
        assert await log.append([failed("game-7", 3)]) == [failed("game-7", 1)]
        assert await events_in(log) == [failed("game-7", 1)]

    async def test_a_stale_writer_gets_the_event_that_stands(self, log: HealthEventLog, rival: HealthEventLog) -> None:
        theirs = failed("game-7", 1, container_id="theirs")
        await rival.append([theirs])
        assert await log.append([failed("game-7", 1, container_id="ours")]) == [theirs]
        await rival.append([recovered("game-7", 2)])
        assert await log.append([failed("game-7", 1, container_id="ours")]) == [recovered("game-7", 2)]
        assert await events_in(log) == [theirs, recovered("game-7", 2)]

    async def test_a_retry_after_a_lost_acknowledgement_is_accepted(self, log: HealthEventLog) -> None:
        batch = [*history("game-7", 3), failed("game-8", 1)]
        await log.append(batch)
        assert await log.append(batch) == batch
        assert await log.append(batch[:1]) == batch[:1]
        assert await self.holds(log, batch)

    async def test_a_refused_event_keeps_no_other_of_its_batch_out(self, log: HealthEventLog) -> None:
        await log.append(history("game-7", 2))
        batch = [failed("game-6", 1), failed("game-7", 1, container_id="stale"), failed("game-8", 1)]
        assert await log.append(batch) == [failed("game-6", 1), recovered("game-7", 2), failed("game-8", 1)]
        assert await self.holds(log, [*history("game-7", 2), failed("game-6", 1), failed("game-8", 1)])

    async def test_the_last_event_is_the_one_with_the_highest_sequence(self, log: HealthEventLog) -> None:
        await log.append([*history("game-7", 11), *history("game-8", 2)])
        last = await log.last_events(game_id for game_id in ("game-7", "game-8", "game-9", "game-7"))
        assert last == {"game-7": failed("game-7", 11), "game-8": recovered("game-8", 2)}

    async def test_many_games_are_appended_and_read_at_once(self, log: HealthEventLog) -> None:
        batch = [failed(f"game-{number}", 1) for number in range(self.many)]
        assert await log.append(batch) == batch
        last = await log.last_events([f"game-{number}" for number in range(self.many + 1)])
        assert last == {event.game_id: event for event in batch}

    async def test_every_field_comes_back_as_it_was_to_the_microsecond(self, log: HealthEventLog) -> None:
        for event in (failed("game-7", 1, last_error="ошибка 🎮 ' \" \\ " + "x" * 900), recovered("game-7", 2)):
            await log.append([event])
            (stands,) = (await log.last_events(["game-7"])).values()
            assert stands.as_document() == event.as_document()
            assert stands.occurred_at == event.occurred_at
            assert stands.occurred_at.utcoffset() == event.occurred_at.utcoffset()

    async def test_the_end_of_a_game_is_an_event_like_its_recovery(self, log: HealthEventLog) -> None:
        events = [failed("a", 1), ended("a", 2), failed("a", 3)]
        assert list(await log.append(events)) == events
        assert await events_in(log) == events

    async def test_an_event_is_in_the_log_with_the_labels_it_had(
        self, log: HealthEventLog, rival: HealthEventLog
    ) -> None:
        labelled = replace(failed("game-7", 1), labels=LABELS)
        batch = [labelled, recovered("game-7", 2), failed("game-8", 1)]
        assert await log.append(batch) == batch
        assert await log.append([labelled]) == [labelled]
        found = {entry.event.id: entry.event for entry in await rival.read(0, 10)}
        assert found == {event.id: event for event in batch}
        assert found["game-7:1"].labels == LABELS
        assert not found["game-7:2"].labels

    async def test_odd_game_ids_are_games_of_their_own(self, log: HealthEventLog) -> None:
        batch = [failed(game_id, 1, container_id=game_id) for game_id in ODD_GAME_IDS]
        assert await log.append(batch) == batch
        assert await log.last_events(ODD_GAME_IDS) == {event.game_id: event for event in batch}
        assert await self.holds(log, batch)

    async def test_a_reader_follows_the_log_page_by_page_and_misses_nothing(self, log: HealthEventLog) -> None:
        found: list[HealthEvent] = []
        cursor = 0
        for length in (3, 5, 8):
            await log.append(history("game-7", length))
            while page := await log.read(cursor, 2):
                assert len(page) <= 2
                assert cursor < page[0].cursor < page[-1].cursor or len(page) == 1
                found += [entry.event for entry in page]
                cursor = page[-1].cursor
        assert found == history("game-7", 8)

    async def test_what_a_reader_passed_never_grows_behind_it(self, log: HealthEventLog, rival: HealthEventLog) -> None:
        await log.append([failed("game-7", 1)])
        (first,) = await log.read(0, 10)
        await rival.append([failed("game-6", 1)])
        await log.append([recovered("game-7", 2)])
        assert [entry.event for entry in await log.read(first.cursor, 10)] == [
            failed("game-6", 1),
            recovered("game-7", 2),
        ]

    async def test_the_end_is_the_cursor_of_the_last_entry(self, log: HealthEventLog) -> None:
        assert await log.end() == 0
        await log.append([*history("game-7", 3), failed("game-8", 1)])
        assert await log.end() == (await log.read(0, 10))[-1].cursor

    async def test_a_cursor_is_none_until_it_is_saved(self, log: HealthEventLog, rival: HealthEventLog) -> None:
        assert await log.load_cursor("stdout") is None
        await log.save_cursor("stdout", 41)
        await log.save_cursor("stdout", 42)
        assert await rival.load_cursor("stdout") == 42

    async def test_a_cursor_never_goes_back(self, log: HealthEventLog, rival: HealthEventLog) -> None:
        await log.save_cursor("stdout", 0)
        assert await log.load_cursor("stdout") == 0
        await log.save_cursor("stdout", 42)
        await rival.save_cursor("stdout", 41)
        assert await log.load_cursor("stdout") == 42

    async def test_all_cursors_are_listed_and_one_can_be_forgotten(
        self, log: HealthEventLog, rival: HealthEventLog
    ) -> None:
        assert await log.all_cursors() == {}
        await log.save_cursor("stdout", 42)
        await rival.save_cursor("bus", 7)
        assert await log.all_cursors() == {"bus": 7, "stdout": 42}
        assert await rival.forget_cursor("stdout")
        assert not await log.forget_cursor("stdout")
        assert await log.load_cursor("stdout") is None
        await log.save_cursor("stdout", 3)
        assert await rival.all_cursors() == {"bus": 7, "stdout": 3}

    async def test_each_name_has_a_cursor_of_its_own(self, log: HealthEventLog) -> None:
        for number, name in enumerate(ODD_GAME_IDS, 1):
            await log.save_cursor(name, number)
        assert [await log.load_cursor(name) for name in ODD_GAME_IDS] == list(range(1, len(ODD_GAME_IDS) + 1))

    async def test_concurrent_writers_leave_no_gap_and_no_duplicate(
        self, log: HealthEventLog, rival: HealthEventLog
    ) -> None:
        games = [f"game-{number}" for number in range(5)]

        async def write(way: HealthEventLog, container_id: str) -> int:
            won = 0
            last: dict[str, HealthEvent | None] = dict.fromkeys(games)
            for _ in range(20):
                batch = [_following(game_id, last[game_id], container_id) for game_id in games]
                standing = await way.append(batch)
                won += sum(event is not None and event.container_id == container_id for event in standing)
                last = dict(zip(games, standing, strict=True))
            return won

        wins = await asyncio.gather(*(write(way, f"writer-{i}") for i, way in enumerate([log, rival] * 3)))
        entries = await log.read(0, 1_000_000)
        assert len(entries) == sum(wins)
        assert len({entry.cursor for entry in entries}) == len(entries)
        for game_id, count in Counter(entry.event.game_id for entry in entries).items():
            sequences = [entry.event.sequence for entry in entries if entry.event.game_id == game_id]
            assert sequences == list(range(1, count + 1))

    async def test_old_events_are_pruned_but_never_a_game_s_last_one(self, log: HealthEventLog) -> None:
        await log.append([*history("game-7", 4), failed("game-8", 1)])
        end = await log.end()
        assert await log.prune(before=AFTER_ALL_SAMPLES, through=end) == 3
        assert await self.holds(log, [recovered("game-7", 4), failed("game-8", 1)])
        assert await log.end() == end
        assert await log.prune(before=AFTER_ALL_SAMPLES, through=end) == 0

    async def test_younger_events_and_those_that_a_relay_has_not_read_are_kept(self, log: HealthEventLog) -> None:
        await log.append(history("game-7", 6))
        third, fourth = (await log.read(0, 10))[2:4]
        assert await log.prune(before=fourth.event.occurred_at, through=third.cursor - 1) == 2
        assert await log.prune(before=third.event.occurred_at, through=fourth.cursor) == 0
        assert await events_in(log) == history("game-7", 6)[2:]

    async def test_a_game_whose_history_was_pruned_goes_on_where_it_stood(self, log: HealthEventLog) -> None:
        await log.append(history("game-7", 3))
        await log.prune(before=AFTER_ALL_SAMPLES, through=await log.end())
        assert await log.last_events(["game-7"]) == {"game-7": failed("game-7", 3)}
        assert await log.append([failed("game-7", 1)]) == [failed("game-7", 3)]
        assert await log.append([recovered("game-7", 4)]) == [recovered("game-7", 4)]
        assert await events_in(log) == history("game-7", 4)[2:]

    async def test_an_altered_event_is_named_with_its_place_and_hides_no_other(
        self, log: HealthEventLog, alter: Alter
    ) -> None:
        await log.append([*history("game-6", 2), *history("game-7", 3), failed("game-8", 1)])
        await alter("game-7", 2)
        entries = await log.read(0, 10)
        (place,) = (place for place, entry in enumerate(entries) if isinstance(entry.event, AlteredEvent))
        altered = entries[place]
        assert (altered.event.game_id, altered.event.sequence) == ("game-7", 2)
        assert isinstance(altered.event, AlteredEvent)
        assert re.search(rf"game-7:2 at {altered.cursor} in the log was altered", altered.event.problem)
        readable = [entry.event for entry in entries if entry is not altered]
        if not self.keeps_order_across_games:
            readable.sort(key=attrgetter("game_id"))
        assert readable == [
            *history("game-6", 2),
            failed("game-7", 1),
            failed("game-7", 3),
            failed("game-8", 1),
        ]
        assert await log.read(entries[place - 1].cursor, 10) == entries[place:]

    async def test_an_altered_last_event_leaves_its_game_where_its_sequence_says(
        self, log: HealthEventLog, alter: Alter
    ) -> None:
        for sequence in (1, 2):
            await log.append([*history("game-6", sequence), *history("game-7", sequence)])
            await alter("game-7", sequence)
            last = await log.last_events(["game-6", "game-7", "game-8"])
            assert set(last) == {"game-6", "game-7"}
            assert last["game-6"] == history("game-6", sequence)[-1]
            altered = last["game-7"]
            assert isinstance(altered, AlteredEvent)
            assert (altered.sequence, altered.event_type) == (sequence, history("game-7", sequence)[-1].event_type)
        stale = failed("game-7", 1, container_id="stale")
        assert await log.append([failed("game-6", 3), stale]) == [failed("game-6", 3), altered]
        assert await log.append([failed("game-7", 3)]) == [failed("game-7", 3)]
        assert await log.last_events(["game-7"]) == {"game-7": failed("game-7", 3)}

    async def test_a_log_with_an_altered_event_is_pruned(self, log: HealthEventLog, alter: Alter) -> None:
        await log.append([*history("game-7", 4), *history("game-8", 3)])
        await alter("game-7", 1)
        await alter("game-8", 3)
        await log.prune(before=AFTER_ALL_SAMPLES, through=await log.end())
        readable = [entry.event for entry in await log.read(0, 10) if not isinstance(entry.event, AlteredEvent)]
        assert readable == [recovered("game-7", 4)]
        assert (await log.last_events(["game-8"]))["game-8"].sequence == 3

    async def test_pruning_many_events_takes_them_all(self, log: HealthEventLog) -> None:
        games = [f"game-{number}" for number in range(self.many * 6 // 10)]
        await log.append([failed(game_id, 1) for game_id in games])
        await log.append([recovered(game_id, 2) for game_id in games])
        assert await log.prune(before=AFTER_ALL_SAMPLES, through=await log.end()) == len(games)
        assert await self.holds(log, [recovered(game_id, 2) for game_id in games])


def _following(game_id: str, last: HealthEvent | None, container_id: str) -> HealthEvent:
    sequence = last.sequence + 1 if last else 1
    return (failed if sequence % 2 else recovered)(game_id, sequence, container_id=container_id)
