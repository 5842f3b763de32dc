"""The contract of dead letters: a part of the suite of every log."""

from __future__ import annotations

from dataclasses import replace

import pytest

from healthprobe.domain.event import HealthEvent
from healthprobe.ports import DeadLetter, HealthEventLog
from healthprobe.testing.contracts.samples import AFTER_ALL_SAMPLES, LABELS, failed, history


@pytest.mark.asyncio
class DeadLettersContract:
    """The tests of dead letters in a HealthEventLogContract, with its fixtures."""

    async def test_a_parked_event_is_kept_with_its_reason(self, log: HealthEventLog, rival: HealthEventLog) -> None:
        assert await log.dead_letters(10) == []
        labelled = replace(failed("game-8", 1), labels=LABELS)
        letters = [_letter("webhook", event) for event in (*history("game-7", 2), labelled)]
        for letter in letters:
            await log.park(letter)
        assert await rival.dead_letters(10) == letters
        assert await rival.dead_letters(2) == letters[:2]

    async def test_a_letter_takes_the_place_of_an_earlier_one_about_the_same_event(self, log: HealthEventLog) -> None:
        first, second = (_letter("webhook", failed(game_id, 1)) for game_id in ("game-7", "game-8"))
        elsewhere = replace(first, publisher="bus")
        for letter in (first, second, elsewhere, replace(first, reason="answered 410")):
            await log.park(letter)
        assert await log.dead_letters(10) == [replace(first, reason="answered 410"), second, elsewhere]

    async def test_what_is_asked_for_again_is_due_at_its_own_publisher(self, log: HealthEventLog) -> None:
        ours, theirs = _letter("webhook", failed("game-7", 1)), _letter("bus", failed("game-7", 1))
        await log.park(ours)
        await log.park(theirs)
        assert await log.dead_letters(10, due_at="webhook") == []
        assert await log.request_replay() == 2
        assert await log.dead_letters(10, due_at="webhook") == [replace(ours, due=True)]
        assert await log.dead_letters(10) == [replace(ours, due=True), replace(theirs, due=True)]
        await log.park(ours)
        assert await log.dead_letters(10, due_at="webhook") == []

    async def test_a_letter_that_was_delivered_is_forgotten(self, log: HealthEventLog) -> None:
        letters = [_letter("webhook", event) for event in history("game-7", 2)]
        for letter in letters:
            await log.park(letter)
        await log.release(letters[0])
        await log.release(letters[0])
        assert await log.dead_letters(10) == letters[1:]

    async def test_a_letter_outlives_the_event_in_the_log(self, log: HealthEventLog) -> None:
        await log.append(history("game-7", 2))
        await log.park(_letter("webhook", failed("game-7", 1)))
        await log.prune(before=AFTER_ALL_SAMPLES, through=await log.end())
        assert await log.dead_letters(10) == [_letter("webhook", failed("game-7", 1))]


def _letter(publisher: str, event: HealthEvent) -> DeadLetter:
    return DeadLetter(publisher, event, "answered 400: ошибка", event.occurred_at)
