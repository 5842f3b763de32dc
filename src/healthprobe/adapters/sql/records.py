"""The store: runtime records in a table that any program may edit at any time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, delete, select

from healthprobe.adapters.sql.database import SqlDatabase
from healthprobe.adapters.sql.schema import records_revisions, runtime_records
from healthprobe.adapters.sql.sqlite import upsert
from healthprobe.domain.record import RuntimeRecord
from healthprobe.ports import StoreError

_CHUNK = 500
"""Rows at a time: about a millisecond's work, after which the event loop may have its turn."""

Listing = tuple[int, list[RuntimeRecord]]
"""The revision of the table, and the records that it had."""


class SqlRecords:
    """Runtime records in a `SqlDatabase`. Every method raises StoreError."""

    def __init__(self, database: SqlDatabase) -> None:
        self._database = database
        self._listings: dict[str, Listing] = {}

    async def list_by_status(self, status: str) -> list[RuntimeRecord]:
        """The records that have `status`, by game id: the very same list again as long as nobody edited the table.

        Rows without a game id are left out.
        """
        work = partial(_list_unless_known, status, self._listings.get(status))
        listing = await self._database.read(work, StoreError)
        self._listings[status] = listing
        return listing[1]

    async def list_all(self) -> list[RuntimeRecord]:
        """Every record, whatever its status, by game id."""
        return await self._database.read(partial(_list, _ALL), StoreError)

    async def put(self, records: Sequence[RuntimeRecord]) -> None:
        """Insert these records, or replace those of the same games; of two for one game the later one. All or none."""
        if records:
            await self._database.write(partial(_put, records), StoreError)

    async def remove(self, game_ids: Iterable[str]) -> int:
        """Remove the records of these games; returns how many there were."""
        games = list(game_ids)
        return await self._database.write(partial(_remove, games), StoreError) if games else 0


_ALL = select(
    runtime_records.c.game_id,
    runtime_records.c.current_container_id,
    runtime_records.c.engine_endpoint,
    runtime_records.c.status,
).order_by(runtime_records.c.game_id)

_REVISION = select(records_revisions.c.revision)
_PUT = upsert(runtime_records)
_REMOVE = delete(runtime_records).where(runtime_records.c.game_id == bindparam("game"))


def _put(records: Sequence[RuntimeRecord], connection: Connection) -> None:
    for start in range(0, len(records), _CHUNK):
        connection.execute(_PUT, [_row_of(record) for record in records[start : start + _CHUNK]])


def _row_of(record: RuntimeRecord) -> dict[str, str]:
    return {
        "game_id": record.game_id,
        "current_container_id": record.current_container_id,
        "engine_endpoint": record.engine_endpoint,
        "status": record.status,
    }


def _remove(game_ids: Sequence[str], connection: Connection) -> int:
    return connection.execute(_REMOVE, [{"game": game_id} for game_id in game_ids]).rowcount


def _list_unless_known(status: str, known: Listing | None, connection: Connection) -> Listing:
    revision = connection.execute(_REVISION).scalar_one()
    if known is not None and known[0] == revision:
        return known
    return revision, _list(_ALL.where(runtime_records.c.status == status), connection)


def _list(statement: Select[*tuple[Any, ...]], connection: Connection) -> list[RuntimeRecord]:
    records: list[RuntimeRecord] = []
    for rows in connection.execute(statement).partitions(_CHUNK):
        records.extend(_record_of(row) for row in rows if isinstance(row[0], str) and row[0])
    return records


def _record_of(row: Row[*tuple[Any, ...]]) -> RuntimeRecord:
    """The record of a row. Other programs may have put anything there: SQLite does not hold columns to their types."""
    game_id, container_id, endpoint, status = row
    return RuntimeRecord(game_id, str(container_id), str(endpoint), status)
