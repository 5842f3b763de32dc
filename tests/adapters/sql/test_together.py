"""Two programs with one database: what one prunes, parks or saves never harms the other."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import pytest

from healthprobe.adapters.sql import SqlDatabase, SqlLog, sqlite
from healthprobe.ports import DeadLetter, LogEntry
from healthprobe.testing.contracts.samples import AFTER_ALL_SAMPLES, FIRST_SECOND, failed, history, recovered

ALL = 1_000_000
PORTION = 5000
"""The number of events pruned in one transaction."""

GAMES = [f"game-{number}" for number in range(20)]
ROUNDS = 60


@pytest.fixture
def url(url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(sqlite, "LOCK_TIMEOUT", 60.0)  # SQLite has no queue for its lock: on a slow disk one waits
    return url


@pytest.fixture
async def log(url: str) -> AsyncIterator[SqlLog]:
    database = await SqlDatabase.open(url)
    yield SqlLog(database)
    await database.aclose()


@pytest.fixture
async def other(log: SqlLog, url: str) -> AsyncIterator[SqlLog]:
    """Yields the log as the other program opens it."""
    assert await log.end() == 0
    database = await SqlDatabase.open(url)
    yield SqlLog(database)
    await database.aclose()


async def test_pruning_while_another_program_appends_removes_no_last_event_and_leaves_no_gap(
    log: SqlLog, other: SqlLog
) -> None:
    appending = asyncio.create_task(_append_rounds(other))
    followed, pruned = list[LogEntry](), 0
    while True:
        is_over = appending.done()
        followed += await log.read(followed[-1].cursor if followed else 0, ALL)
        seen = {entry.event.game_id: entry.event.sequence for entry in followed}
        pruned += await log.prune(AFTER_ALL_SAMPLES, followed[-1].cursor if followed else 0)
        standing = await log.last_events(GAMES)
        assert all(standing[game_id].sequence >= sequence for game_id, sequence in seen.items())
        if is_over:
            break
    ends = await appending
    assert ends == sorted(set(ends))
    assert [entry.cursor for entry in followed] == list(range(1, ends[-1] + 1))
    for game_id in GAMES:
        assert [entry.event for entry in followed if entry.event.game_id == game_id] == history(game_id, 2 * ROUNDS)
    left = [entry.event for entry in await log.read(0, ALL)]
    assert left == [recovered(game_id, 2 * ROUNDS) for game_id in GAMES]
    assert pruned == len(followed) - len(left)


async def _append_rounds(log: SqlLog) -> list[int]:
    """Appends two events of every game in each round; returns the end of the log after each."""
    ends = []
    for sequence in range(1, 2 * ROUNDS, 2):
        batch = [event for game_id in GAMES for event in (failed(game_id, sequence), recovered(game_id, sequence + 1))]
        assert await log.append(batch) == batch
        ends.append(await log.end())
    return ends


async def test_a_cancelled_prune_leaves_the_log_complete_and_the_next_finishes_it(log: SqlLog, other: SqlLog) -> None:
    games = [f"game-{number}" for number in range(2000)]
    for sequence in range(1, 5):
        await log.append([history(game_id, sequence)[-1] for game_id in games])
    prunable, end = 3 * len(games), 4 * len(games)
    before = await log.read(0, ALL)
    for _ in range(3):
        pruning = asyncio.create_task(log.prune(AFTER_ALL_SAMPLES, end))
        await asyncio.sleep(0)
        pruning.cancel()
        with pytest.raises(asyncio.CancelledError):
            await pruning
        await log.save_cursor("relay", end)  # runs after the transaction of the prune
        left = await other.read(0, ALL)
        gone = end - len(left)
        assert gone in (0, PORTION, prunable)
        assert left == before[gone:]
        assert len(await other.last_events(games)) == len(games)
    assert await other.prune(AFTER_ALL_SAMPLES, end) == prunable - gone
    assert await log.read(0, ALL) == before[prunable:]
    assert await log.append([failed(game_id, 5) for game_id in games]) == [failed(game_id, 5) for game_id in games]


def _letters(reason: str) -> Sequence[DeadLetter]:
    return [DeadLetter("webhook", failed(game_id, 1), reason, FIRST_SECOND) for game_id in GAMES]


async def _park_and_release(log: SqlLog, letters: Sequence[DeadLetter]) -> None:
    """Parks and releases each letter several times, in random order."""
    for letter in random.sample([*letters] * 4, 4 * len(letters)):
        await random.choice((log.park, log.park, log.release))(letter)


async def test_two_programs_that_park_and_release_the_same_letters_leave_the_last_write(
    log: SqlLog, other: SqlLog
) -> None:
    ours, theirs = _letters("answered 400"), _letters("answered 410")
    await asyncio.gather(_park_and_release(log, ours), _park_and_release(other, theirs))
    parked = await log.dead_letters(ALL)
    assert parked == await other.dead_letters(ALL)
    assert len({letter.event.id for letter in parked}) == len(parked)
    assert all(letter in ours or letter in theirs for letter in parked)

    released, kept = ours[:10], [replace(letter, reason="answered 422") for letter in ours[10:]]
    await asyncio.gather(*(log.park(letter) for letter in ours), *(other.park(letter) for letter in theirs))
    assert [letter.event.id for letter in parked] == [letter.event.id for letter in await log.dead_letters(len(parked))]
    await asyncio.gather(*(other.release(letter) for letter in released), *(log.park(letter) for letter in kept))
    assert sorted(await other.dead_letters(ALL), key=_game_of) == sorted(kept, key=_game_of)


def _game_of(letter: DeadLetter) -> str:
    return letter.event.game_id


async def test_of_cursors_saved_by_two_programs_at_once_the_greatest_remains(log: SqlLog, other: SqlLog) -> None:
    saving = asyncio.gather(_save(log, range(1, 120, 2)), _save(other, range(2, 121, 2)))
    remembered = [0]
    while not saving.done():
        remembered.append(await log.load_cursor("webhook") or 0)
    await saving
    assert remembered == sorted(remembered)
    assert await log.all_cursors() == await other.all_cursors() == {"webhook": 120}


async def _save(log: SqlLog, cursors: range) -> None:
    """Saves the cursors in random order."""
    for cursor in random.sample(cursors, len(cursors)):
        await log.save_cursor("webhook", cursor)
