"""Editable records: what the stores that are edited from here have in common."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import uvloop

from healthprobe.app.urls import Adapters, EditableRecords
from healthprobe.domain.record import RuntimeRecord
from healthprobe.telemetry.logs import configure_logs


def put_records(url: str, records: Sequence[RuntimeRecord]) -> None:
    """Add `records` to the store at `url`, or replace those of the same games: all, or none where it can do that."""
    uvloop.run(_put(url, records))


def drop_records(url: str, game_ids: Sequence[str]) -> set[str]:
    """Remove the records of these games from the store at `url`; returns the ids of all games that were there."""
    return uvloop.run(_drop(url, game_ids))


@asynccontextmanager
async def store_at(url: str, *, existing: bool) -> AsyncIterator[EditableRecords]:
    """The store at `url`, which with `existing` must be there. Raises ConfigurationError where it cannot be edited."""
    adapters = Adapters(existing=existing, logger=configure_logs("warning"))
    try:
        yield await adapters.editable_records(url)
    finally:
        await adapters.aclose()


async def _put(url: str, records: Sequence[RuntimeRecord]) -> None:
    async with store_at(url, existing=False) as store:
        await store.put(records)


async def _drop(url: str, game_ids: Sequence[str]) -> set[str]:
    async with store_at(url, existing=True) as store:
        known = {record.game_id for record in await store.list_all()}
        await store.remove(game_ids)
        return known
