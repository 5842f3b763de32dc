"""What is particular to a log on JetStream: sizes, gaps in the stream, and what others do to it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from tests.servers import nats_fixtures
from tests.servers.nats_fixtures import OpenLog

from healthprobe.adapters.nats import JetStreamLog, event_log
from healthprobe.adapters.nats.appending import message_id
from healthprobe.adapters.nats.stream_leader import Message
from healthprobe.domain.event import HealthEvent
from healthprobe.domain.shard import SHARDS
from healthprobe.ports import DeadLetter, LogEntry, LogError
from healthprobe.testing.contracts.samples import AFTER_ALL_SAMPLES, FIRST_SECOND, failed, history, recovered

nats_server = nats_fixtures.nats_server
nats_url = nats_fixtures.nats_url
prefix = nats_fixtures.prefix
open_log = nats_fixtures.open_log


@pytest.fixture
async def log(nats_url: str, open_log: OpenLog) -> JetStreamLog:
    return await open_log(nats_url)


async def events_in(log: JetStreamLog) -> list[HealthEvent]:
    return [entry.event for entry in await log.read(0, 100_000)]


@pytest.mark.parametrize("length", [97, 98, 99, 160, 161, 10_000])
async def test_a_game_id_of_any_length_fits_into_subject_and_headers(log: JetStreamLog, length: int) -> None:
    batch = [failed("x" * length, 1), failed("x" * (length - 1) + "ж", 1), failed("x" * (length - 1) + "\n", 1)]
    assert await log.append(batch) == batch
    assert await log.append(batch) == batch
    assert await log.last_events([event.game_id for event in batch]) == {event.game_id: event for event in batch}
    assert await events_in(log) == batch


def test_a_message_id_is_unique_and_fits_into_a_header() -> None:
    events = [failed(game_id, sequence) for game_id in ("a", "a ", " a", "a\n", "a" * 500, "ж") for sequence in (1, 2)]
    events += [replace(failed("a", 1), occurred_at=FIRST_SECOND)]
    ids = [message_id(event) for event in events]
    assert len(set(ids)) == len(ids)
    assert all(len(each) <= 128 and each.isascii() and each.isprintable() and " " not in each for each in ids)


async def test_only_the_event_that_is_too_large_is_refused_and_for_good(log: JetStreamLog) -> None:
    large, larger = (failed("game-7", 1, container_id="x" * length) for length in (1_040_000, 1_048_576))
    with pytest.raises(
        LogError, match=r"\A[^\n]*the event 'game-7:1' is larger[^\n]*raise its max_payload\Z"
    ) as refused:
        await log.append([failed("game-8", 1), larger])
    assert refused.value.permanent
    assert await events_in(log) == []
    assert await log.append([failed("game-8", 1), large]) == [failed("game-8", 1), large]
    assert await events_in(log) == [failed("game-8", 1), large]


async def test_a_lone_surrogate_is_refused_for_good(log: JetStreamLog) -> None:
    calls: Sequence[Callable[[], Awaitable[object]]] = (
        partial(log.append, [failed("half \ud83c", 1)]),
        partial(log.append, [failed("game-7", 1, container_id="half \ud83c")]),
        partial(log.save_cursor, "half \ud83c", 1),
        partial(log.park, DeadLetter("half \ud83c", failed("game-7", 1), "no text", FIRST_SECOND)),
    )
    for call in calls:
        with pytest.raises(LogError, match=r"takes no text with lone surrogates, as in 'half \\ud83c") as refused:
            await call()
        assert refused.value.permanent
    assert await log.last_events(["half \ud83c"]) == {}
    assert await log.load_cursor("half \ud83c") is None


async def test_a_stream_with_wide_gaps_is_read_in_few_requests(
    log: JetStreamLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    await log.append(history("game-6", 2))
    await log.append([failed(f"game-{number}", 1) for number in range(7, 707)])
    await log.append([recovered(f"game-{number}", 2) for number in range(7, 707)])
    await log.append(history("game-6", 4))
    assert await log.prune(AFTER_ALL_SAMPLES, await log.end()) == 703
    asked = 0
    ask = log._leader._ask_portion

    async def counted(questions: Sequence[Mapping[str, Any]]) -> list[Message | None]:
        nonlocal asked
        asked += len(questions)
        return await ask(questions)

    monkeypatch.setattr(log._leader, "_ask_portion", counted)
    first_page = await log.read(0, 500)
    assert [entry.event.sequence for entry in first_page] == [2] * 500
    assert asked < 1_100
    await log.prune(AFTER_ALL_SAMPLES, 0)
    assert len(await events_in(log)) == 701


async def test_pruning_goes_by_the_time_of_events_not_by_their_place(log: JetStreamLog) -> None:
    late = [replace(event, occurred_at=AFTER_ALL_SAMPLES + timedelta(days=1)) for event in history("game-7", 2)]
    early = history("game-8", 2)
    await log.append([late[0], early[0], late[1], early[1]])
    assert await log.prune(AFTER_ALL_SAMPLES, await log.end()) == 1
    assert await events_in(log) == [late[0], late[1], early[1]]


async def test_pruning_stops_at_a_page_without_old_events(log: JetStreamLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_log, "_PRUNED_AT_ONCE", 10)
    await log.append(history("game-6", 40))
    newer = [replace(each, occurred_at=AFTER_ALL_SAMPLES + timedelta(days=1)) for each in history("game-7", 400)]
    await log.append(newer)
    asked: list[int] = []
    read = log.read

    async def counted(after: int, limit: int) -> Sequence[LogEntry]:
        asked.append(after)
        return await read(after, limit)

    monkeypatch.setattr(log, "read", counted)
    assert await log.prune(AFTER_ALL_SAMPLES, await log.end()) == 39
    assert len(asked) <= 6, "four pages are old, and the next one tells that no other is"


async def test_pruning_during_an_append_keeps_the_last_event_of_each_game(
    log: JetStreamLog, nats_url: str, open_log: OpenLog
) -> None:
    other = await open_log(nats_url)

    async def prune() -> None:
        for _ in range(10):
            await other.prune(AFTER_ALL_SAMPLES, await other.end())

    pruning = asyncio.create_task(prune())
    for event in history("game-7", 200):
        assert await log.append([event]) == [event]
    await pruning
    assert (await events_in(log))[-1] == recovered("game-7", 200)
    assert await log.last_events(["game-7"]) == {"game-7": recovered("game-7", 200)}


async def test_a_log_that_was_purged_goes_on(log: JetStreamLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_log, "_PAUSES", (0.0, 0.01))
    await log.append(history("game-7", 5))
    assert await log._leader.purge(log._streams.all_events) == 5
    assert await events_in(log) == []
    assert await log.append([failed("game-7", 6)]) == [None]
    assert await log.append([failed("game-7", 1)]) == [failed("game-7", 1)]


async def test_an_answer_older_than_an_earlier_one_does_not_count(log: JetStreamLog) -> None:
    await log.append(history("game-7", 2))
    log._leader._known += 1
    with pytest.raises(LogError, match="it is older than what we have read") as failure:
        await log.last_events(["game-7"])
    assert not failure.value.permanent


async def test_a_relay_without_due_letters_makes_one_request(
    log: JetStreamLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    for event in history("game-7", 4):
        await log.park(DeadLetter("webhook", event, "answered 410", FIRST_SECOND))
    assert await log.dead_letters(10, due_at="webhook") == []

    async def read(*_: object) -> None:
        raise AssertionError("it reads them all")

    with monkeypatch.context() as patch:
        patch.setattr(log._relays, "read", read)
        assert await log.dead_letters(10, due_at="webhook") == []
        assert await log.dead_letters(10, due_at="bus") == []
    await log.request_replay()
    assert len(await log.dead_letters(10, due_at="webhook")) == 4


async def test_letters_parked_at_once_are_all_kept(log: JetStreamLog, nats_url: str, open_log: OpenLog) -> None:
    other = await open_log(nats_url)
    letters = [DeadLetter("webhook", event, "answered 410", FIRST_SECOND) for event in history("game-7", 60)]
    await asyncio.gather(*(way.park(letter) for letter in letters for way in (log, other)))
    assert {letter.event.id for letter in await log.dead_letters(100)} == {letter.event.id for letter in letters}
    assert list(await asyncio.gather(log.request_replay(), other.request_replay())) == [60, 60]
    assert all(letter.due for letter in await log.dead_letters(100))


async def test_of_cursors_saved_at_once_the_greatest_is_kept(
    log: JetStreamLog, nats_url: str, open_log: OpenLog
) -> None:
    other = await open_log(nats_url)
    await asyncio.gather(*(way.save_cursor("bus", cursor) for cursor in range(1, 9) for way in (log, other)))
    assert await log.load_cursor("bus") == 8
    assert await log.all_cursors() == {"bus": 8}


async def test_a_thousand_events_of_few_shards_are_appended_in_order_for_each_game(
    nats_url: str, open_log: OpenLog
) -> None:
    log = await open_log(nats_url, by_claims=True)
    await log.claim(range(SHARDS))
    batch = [event for number in range(10) for event in history(f"game-{number}", 100)]
    assert await log.append(batch) == batch
    told = await events_in(log)
    for number in range(10):
        assert [event for event in told if event.game_id == f"game-{number}"] == history(f"game-{number}", 100)
