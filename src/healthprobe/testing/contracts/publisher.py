"""The contract of a HealthEventPublisher as a pytest suite."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from healthprobe.ports import HealthEventPublisher, PublishError
from healthprobe.testing.contracts.samples import LABELS, ODD_GAME_IDS, failed, history

Delivered = Callable[[], Awaitable[Sequence[dict[str, Any]]]]
"""Returns what has arrived at the bus so far, in its order, each as the event's document."""


@pytest.mark.asyncio
class PublisherContract:
    """Subclass it as `class TestMyPublisher(PublisherContract)` and define three fixtures.

    `publisher` delivers to a bus that `delivered` reads; `unreachable` is a publisher whose bus is down.
    """

    async def test_events_arrive_in_order_with_exactly_their_fields(
        self, publisher: HealthEventPublisher, delivered: Delivered
    ) -> None:
        events = [*history("game-7", 3), replace(failed("game-8", 1), labels=LABELS)]
        await publisher.publish(events)
        documents = await delivered()
        assert documents == [event.as_document() for event in events]
        assert [list(document) for document in documents] == [list(event.as_document()) for event in events]

    async def test_what_was_published_has_arrived_when_publish_returns(
        self, publisher: HealthEventPublisher, delivered: Delivered
    ) -> None:
        for number, event in enumerate(history("game-7", 5), 1):
            await publisher.publish([event])
            assert len(await delivered()) == number

    async def test_publishing_no_events_is_allowed(self, publisher: HealthEventPublisher, delivered: Delivered) -> None:
        await publisher.publish([])
        assert await delivered() == []

    async def test_an_event_that_comes_again_has_the_same_id(
        self, publisher: HealthEventPublisher, delivered: Delivered
    ) -> None:
        await publisher.publish([failed("game-7", 1)])
        await publisher.publish([failed("game-7", 1)])
        assert {document["id"] for document in await delivered()} == {"game-7:1"}

    async def test_odd_game_ids_and_long_errors_arrive_unchanged(
        self, publisher: HealthEventPublisher, delivered: Delivered
    ) -> None:
        events = [failed(game_id, 1, last_error="é" * 500) for game_id in ODD_GAME_IDS]
        await publisher.publish(events)
        assert await delivered() == [event.as_document() for event in events]

    async def test_a_thousand_events_arrive_in_order(
        self, publisher: HealthEventPublisher, delivered: Delivered
    ) -> None:
        events = history("game-7", 1000)
        await publisher.publish(events)
        assert [document["sequence"] for document in await delivered()] == list(range(1, 1001))

    async def test_a_bus_that_is_down_raises_an_error_of_one_line(self, unreachable: HealthEventPublisher) -> None:
        with pytest.raises(PublishError, match=r"\A[^\n]{10,300}\Z"):
            await unreachable.publish([failed("game-7", 1)])
