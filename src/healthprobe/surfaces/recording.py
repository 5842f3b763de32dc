"""Recording: a store of runtime records, shown and edited by hand."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvloop

from healthprobe.domain.endpoint import InvalidEndpoint, masked, parse_endpoint
from healthprobe.domain.event import format_instant
from healthprobe.domain.probe_parsing import InvalidSettings, parse_settings
from healthprobe.domain.record import RuntimeRecord
from healthprobe.ports import ConfigurationError
from healthprobe.surfaces import terminal
from healthprobe.surfaces.adapters import Adapters
from healthprobe.surfaces.logs import configure_logs
from healthprobe.surfaces.naming import shown

if TYPE_CHECKING:
    from healthprobe.surfaces.editable import EditableRecords

_SECRET = re.compile("auth|cookie|token|secret|password|key", re.IGNORECASE)
_ALWAYS = ("game_id", "current_container_id", "engine_endpoint", "status")


def add_record(url: str, game_id: str, endpoint: str, *, container: str, status: str, probe: str = "") -> None:
    """Put one record into the store at `url`. Raises ConfigurationError for one that could never be probed."""
    record = RuntimeRecord(game_id, container, endpoint, status, probe.strip())
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
            terminal.write_json(_as_document(record))
        return
    table = terminal.table(
        {
            "game": {**terminal.FOLDS, "style": "bold"},
            "status": {},
            "container": terminal.FOLDS,
            "endpoint": terminal.FOLDS,
            "probe": terminal.FOLDS,
        }
    )
    for record in records:
        where = (record.current_container_id, record.engine_endpoint)
        cells = (record.game_id, record.status, *where, _probe_of(record))
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
        try:
            parse_settings(record.probe)
        except InvalidSettings as invalid:
            raise ConfigurationError(f"{record.game_id}: probe settings: {invalid}") from invalid


def _as_document(record: RuntimeRecord) -> dict[str, Any]:
    """The record as files have it; of settings and silence only what there is."""
    document = {name: value for name, value in asdict(record).items() if value not in {"", None} or name in _ALWAYS}
    if record.silenced_until is not None:
        document["silenced_until"] = format_instant(record.silenced_until)
    if record.probe:
        with contextlib.suppress(ValueError, RecursionError):
            document["probe"] = _without_secrets(json.loads(record.probe))
    return document


def _without_secrets(probe: Any) -> Any:
    headers = probe.get("headers") if isinstance(probe, dict) else None
    if not isinstance(headers, dict):
        return probe
    return {**probe, "headers": {name: "***" if _SECRET.search(name) else told for name, told in headers.items()}}


def _probe_of(record: RuntimeRecord) -> str:
    """Settings and silence in a few words, for a table."""
    now = datetime.now(UTC)
    silenced = record.silenced_until is not None and now < record.silenced_until
    words = [f"silenced until {record.silenced_until:%H:%M:%S} UTC"] if silenced else []
    try:
        settings = parse_settings(record.probe)
    except InvalidSettings as invalid:
        return ", ".join([*words, f"invalid: {invalid}"])
    return ", ".join([*words, *([f"{settings.kind} of its own"] if record.probe else [])])


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


async def _list(url: str) -> list[RuntimeRecord]:
    async with store_at(url, existing=True) as store:
        return await store.list_all()
