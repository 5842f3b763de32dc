"""The store, log and publisher in memory keep the same promises as the real ones."""

from collections.abc import Sequence
from typing import Any

import pytest

from healthprobe.domain.record import RuntimeRecord
from healthprobe.testing.contracts import (
    DocumentLogContract,
    HealthEventLogContract,
    PublisherContract,
    RecordSettingsContract,
    RecordStoreContract,
)
from healthprobe.testing.contracts.log import Alter
from healthprobe.testing.contracts.publisher import Delivered
from healthprobe.testing.contracts.records import Edit
from healthprobe.testing.memory import InMemoryLog, InMemoryPublisher, InMemoryRecords


class TestMemoryLog(HealthEventLogContract):
    @pytest.fixture
    def log(self) -> InMemoryLog:
        return InMemoryLog()

    @pytest.fixture
    def alter(self, log: InMemoryLog) -> Alter:
        async def alter(game_id: str, sequence: int) -> None:
            log.alter(game_id, sequence)

        return alter


class TestMemoryDocuments(DocumentLogContract):
    @pytest.fixture
    def log(self) -> InMemoryLog:
        return InMemoryLog()


class TestMemoryRecords(RecordStoreContract, RecordSettingsContract):
    @pytest.fixture
    def store(self) -> InMemoryRecords:
        return InMemoryRecords()

    @pytest.fixture
    def edit(self, store: InMemoryRecords) -> Edit:
        async def edit(records: Sequence[RuntimeRecord]) -> None:
            store.replace_all(records)

        return edit


class TestMemoryPublisher(PublisherContract):
    @pytest.fixture
    def publisher(self) -> InMemoryPublisher:
        return InMemoryPublisher()

    @pytest.fixture
    def delivered(self, publisher: InMemoryPublisher) -> Delivered:
        async def delivered() -> Sequence[dict[str, Any]]:
            return [event.as_document() for event in publisher.delivered]

        return delivered

    @pytest.fixture
    def unreachable(self) -> InMemoryPublisher:
        publisher = InMemoryPublisher()
        publisher.unavailable = True
        return publisher
