"""The runtime records of a store that commands edit."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import uvloop

from healthprobe.app.urls import Adapters, EditableRecords
from healthprobe.domain.record import RuntimeRecord
from healthprobe.telemetry.logs import configure_logs


def put_records(url: str, records: Sequence[RuntimeRecord]) -> None:
    """Adds records to the store at a URL, or replaces those of the same games."""
    uvloop.run(_put(url, records))


def drop_records(url: str, game_ids: Sequence[str]) -> set[str]:
    """Removes the records of games from the store at a URL. Returns the ids of all games that it had."""
    return uvloop.run(_drop(url, game_ids))


@asynccontextmanager
async def store_at(url: str, *, existing: bool) -> AsyncIterator[EditableRecords]:
    """Opens the store at a URL. Raises ConfigurationError if it cannot be edited, or must exist and does not."""
    async with Adapters(existing=existing, logger=configure_logs("warning")) as adapters:
        yield await adapters.editable_records(url)


async def _put(url: str, records: Sequence[RuntimeRecord]) -> None:
    async with store_at(url, existing=False) as store:
        await store.put(records)


async def _drop(url: str, game_ids: Sequence[str]) -> set[str]:
    async with store_at(url, existing=True) as store:
        known = {record.game_id for record in await store.list_all()}
        await store.remove(game_ids)
        return known
