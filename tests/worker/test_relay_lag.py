"""The lag: events that a publisher has not had are counted, whatever else stands between them in the log."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from healthprobe.ports import LogEntry
from healthprobe.testing.contracts.samples import history
from healthprobe.testing.memory import InMemoryLog
from healthprobe.worker.relay import COUNTED, events_behind

GAP = 100


class SparseLog(InMemoryLog):
    """A log in which other things stand between any two events."""

    readings = 0

    async def read(self, after: int, limit: int) -> Sequence[LogEntry]:
        self.readings += 1
        return [LogEntry(entry.cursor * GAP, entry.event) for entry in await super().read(after // GAP, limit)]

    async def end(self) -> int:
        return await super().end() * GAP


@pytest.mark.parametrize(("had", "behind"), [(0, 3), (1, 2), (3, 0)])
async def test_few_events_are_counted(had: int, behind: int) -> None:
    assert await events_behind(SparseLog(*history("a", 3)), had * GAP) == behind


async def test_of_many_it_is_the_most_that_there_can_be() -> None:
    log = SparseLog(*history("a", COUNTED + 1))
    assert await events_behind(log, 0) == (COUNTED + 1) * GAP
    assert await events_behind(log, 2 * GAP) == COUNTED - 1


async def test_where_many_were_read_already_they_are_not_read_again() -> None:
    log = SparseLog(*history("a", COUNTED + 300))
    read = await log.read(0, COUNTED)
    assert await events_behind(log, 0, read) == (COUNTED + 300) * GAP
    assert log.readings == 1
