"""The ports in memory, on which other tests build, keep the same promises as the real ones."""

from collections.abc import Sequence
from typing import Any

import pytest

from healthprobe.domain.record import RuntimeRecord
from healthprobe.testing.contracts import (
    HealthEventLogContract,
    PublisherContract,
    RecordSettingsContract,
    RecordStoreContract,
)
from healthprobe.testing.contracts.publisher import Delivered
from healthprobe.testing.contracts.records import Edit
from healthprobe.testing.memory import MemoryLog, MemoryPublisher, MemoryRecords


class TestMemoryLog(HealthEventLogContract):
    @pytest.fixture
    def log(self) -> MemoryLog:
        return MemoryLog()


class TestMemoryRecords(RecordStoreContract, RecordSettingsContract):
    @pytest.fixture
    def store(self) -> MemoryRecords:
        return MemoryRecords()

    @pytest.fixture
    def edit(self, store: MemoryRecords) -> Edit:
        async def edit(records: Sequence[RuntimeRecord]) -> None:
            store.replace_all(records)

        return edit


class TestMemoryPublisher(PublisherContract):
    @pytest.fixture
    def publisher(self) -> MemoryPublisher:
        return MemoryPublisher()

    @pytest.fixture
    def delivered(self, publisher: MemoryPublisher) -> Delivered:
        async def delivered() -> Sequence[dict[str, Any]]:
            return [event.as_document() for event in publisher.delivered]

        return delivered

    @pytest.fixture
    def unreachable(self) -> MemoryPublisher:
        publisher = MemoryPublisher()
        publisher.unavailable = True
        return publisher
