"""Recording: a store of runtime records, shown and edited by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop

from healthprobe.domain.endpoint import InvalidEndpoint, masked, parse_endpoint
from healthprobe.domain.record import RuntimeRecord
from healthprobe.ports import ConfigurationError
from healthprobe.surfaces import terminal
from healthprobe.surfaces.adapters import Adapters
from healthprobe.surfaces.logs import configure_logs
from healthprobe.surfaces.naming import shown

if TYPE_CHECKING:
    from healthprobe.surfaces.editable import EditableRecords


def add_record(url: str, game_id: str, endpoint: str, *, container: str, status: str) -> None:
    """Put one record into the store at `url`. Raises ConfigurationError for one that could never be probed."""
    record = RuntimeRecord(game_id, container, endpoint, status)
    _refuse_unprobeable([record])
    put_records(url, [record])


def import_records(url: str, file: Path) -> None:
    """Put all records of a JSON or YAML file into the store at `url`, or none where one of them could not be probed."""
    from healthprobe.adapters.file import read_records

    records = read_records(file)
    _refuse_unprobeable(records)
    put_records(url, records)
    terminal.tell(f"imported {terminal.counted(len(records), 'game')} into {shown(url)}")


def remove_records(url: str, game_ids: Sequence[str]) -> bool:
    """Remove the records of these games; says which were not there, and returns whether all were."""
    known = drop_records(url, game_ids)
    unknown = [game_id for game_id in dict.fromkeys(game_ids) if game_id not in known]
    if unknown:
        terminal.tell(f"not in {shown(url)}: {', '.join(unknown)}")
    return not unknown


def put_records(url: str, records: Sequence[RuntimeRecord]) -> None:
    """Add `records` to the store at `url`, or replace those of the same games: all, or none where it can do that."""
    uvloop.run(_put(url, records))


def drop_records(url: str, game_ids: Sequence[str]) -> set[str]:
    """Remove the records of these games from the store at `url`; returns the ids of all games that were there."""
    return uvloop.run(_drop(url, game_ids))


def show_records(url: str, *, as_json: bool) -> None:
    """Write every record of the store at `url`, without credentials."""
    records = [replace(each, engine_endpoint=masked(each.engine_endpoint)) for each in uvloop.run(_list(url))]
    if not terminal.people_watch(json_wanted=as_json):
        for record in records:
            terminal.write_json(asdict(record))
        return
    table = terminal.table(
        {
            "game": {**terminal.FOLDS, "style": "bold"},
            "status": {},
            "container": terminal.FOLDS,
            "endpoint": terminal.FOLDS,
        }
    )
    for record in records:
        cells = (record.game_id, record.status, record.current_container_id, record.engine_endpoint)
        table.add_row(*map(terminal.printable, cells))
    terminal.console_for().print(table if records else f"No game in {shown(url)}.")


def _refuse_unprobeable(records: Sequence[RuntimeRecord]) -> None:
    for record in records:
        if not record.game_id:
            raise ConfigurationError("a game without an id: write one before its endpoint")
        try:
            parse_endpoint(record.engine_endpoint)
        except InvalidEndpoint as invalid:
            name = masked(record.engine_endpoint)
            raise ConfigurationError(f"{record.game_id}: {name!r} is not an endpoint: {invalid}") from invalid


@asynccontextmanager
async def _store(url: str, *, existing: bool) -> AsyncIterator[EditableRecords]:
    adapters = Adapters(existing=existing, logger=configure_logs("warning"))
    try:
        yield await adapters.editable_records(url)
    finally:
        await adapters.aclose()


async def _put(url: str, records: Sequence[RuntimeRecord]) -> None:
    async with _store(url, existing=False) as store:
        await store.put(records)


async def _drop(url: str, game_ids: Sequence[str]) -> set[str]:
    async with _store(url, existing=True) as store:
        known = {record.game_id for record in await store.list_all()}
        await store.remove(game_ids)
        return known


async def _list(url: str) -> list[RuntimeRecord]:
    async with _store(url, existing=True) as store:
        return await store.list_all()
