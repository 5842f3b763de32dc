"""The lag: how many events a publisher has not had yet."""

from __future__ import annotations

from collections.abc import Sequence

from healthprobe.ports import HealthEventLog, LogEntry

COUNTED = 500
"""So many events are counted one by one."""


async def events_behind(log: HealthEventLog, cursor: int, read: Sequence[LogEntry] = ()) -> int:
    """How many events of `log` come after `cursor`; `read` are the first of them, where somebody has them. LogError.

    Cursors grow from event to event, and not by one: claims of shards stand between them on JetStream, and what was
    pruned is missing. Few events are counted, so that one is never called hundreds; of more, this is the most that
    there can be.
    """
    entries = read if len(read) >= COUNTED else await log.read(cursor, COUNTED)
    return len(entries) if len(entries) < COUNTED else max(await log.end() - cursor, COUNTED)
