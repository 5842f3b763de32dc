"""Runtime records in a table that any program may edit at any time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import Connection, Select, Text, bindparam, cast, delete, select, update

from healthprobe.adapters.sql.database import SqlDatabase
from healthprobe.adapters.sql.listing import IN_PORTIONS, Listing, OnSkipped, UnusableRow, not_utf_8, note_of
from healthprobe.adapters.sql.schema import MOST, records_revisions, runtime_records
from healthprobe.adapters.sql.statements import chunks, upsert
from healthprobe.domain.event import format_instant
from healthprobe.domain.labels import parse_labels
from healthprobe.domain.record import RuntimeRecord, probe_settings_text, silenced_until_or_none
from healthprobe.ports import StoreError


class SqlRecords:
    """Runtime records in a `SqlDatabase`. Every method raises StoreError.

    `on_skipped` is called after each listing with the number of rows that were left out and the reason for the first:
    no game id, a NUL character in an id, text that is not UTF-8.
    """

    def __init__(self, database: SqlDatabase, on_skipped: OnSkipped = lambda _count, _why: None) -> None:
        self._database = database
        self._on_skipped = on_skipped
        self._listings: dict[str, Listing] = {}
        self._revisions: dict[str, int] = {}
        self._left_out: frozenset[str] = frozenset()

    @property
    def left_out(self) -> frozenset[str]:
        return self._left_out

    async def list_by_status(self, status: str) -> list[RuntimeRecord]:
        """Returns the records that have `status`: the same list while the table is not edited."""
        listing = self._listings.setdefault(status, Listing(_record_of))
        work = partial(_list_if_changed, status, listing, self._revisions.get(status))
        self._revisions[status] = await self._database.read(work, StoreError)
        self._left_out = listing.left_out
        self._on_skipped(listing.skipped, listing.first_fault)
        return listing.records

    async def list_all(self) -> list[RuntimeRecord]:
        """Returns the records of every status, by game id."""
        listing = Listing(_record_of)
        await self._database.read(partial(_read, _ALL, {}, listing), StoreError)
        self._on_skipped(listing.skipped, listing.first_fault)
        return listing.records

    async def put(self, records: Sequence[RuntimeRecord]) -> None:
        """Inserts these records, or replaces those of the same games, all or none; of two for one game the later."""
        if records:
            await self._database.write(partial(_put, records), StoreError)

    async def remove(self, game_ids: Iterable[str]) -> int:
        """Removes the records of these games; returns how many there were."""
        games = list(game_ids)
        return await self._database.write(partial(_remove, games), StoreError) if games else 0

    async def silence(self, game_ids: Iterable[str], until: datetime | None, why: str = "") -> set[str]:
        """Silences these games until then, or ends their silence, all or none. Returns those that exist."""
        return await self._database.write(partial(_silence, list(game_ids), until, why), StoreError)


_ALL = select(
    runtime_records.c.game_id,
    runtime_records.c.current_container_id,
    runtime_records.c.engine_endpoint,
    runtime_records.c.status,
    runtime_records.c.probe,
    runtime_records.c.silenced_until,
    runtime_records.c.silenced_why,
    cast(runtime_records.c.labels, Text).label("labels"),
).order_by(runtime_records.c.game_id)

_OF_STATUS = _ALL.where(runtime_records.c.status == bindparam("status"))
_REVISION = select(records_revisions.c.revision)
_SILENCE = (
    update(runtime_records)
    .where(runtime_records.c.game_id == bindparam("game"))
    .values(silenced_until=bindparam("until"), silenced_why=bindparam("why"))
)
_REMOVE = delete(runtime_records).where(runtime_records.c.game_id == bindparam("game"))


def _put(records: Sequence[RuntimeRecord], connection: Connection) -> None:
    for chunk in chunks(records):
        upsert(connection, runtime_records, [_row_of(record) for record in chunk])


def _row_of(record: RuntimeRecord) -> dict[str, Any]:
    return {
        "game_id": record.game_id,
        "current_container_id": record.current_container_id,
        "engine_endpoint": record.engine_endpoint,
        "status": record.status,
        "probe": record.probe or None,
        "silenced_until": None if record.silenced_until is None else format_instant(record.silenced_until),
        "silenced_why": record.silenced_why or None,
        "labels": dict(record.labels) or None,
    }


def _remove(game_ids: Sequence[str], connection: Connection) -> int:
    return connection.execute(_REMOVE, [{"game": game_id} for game_id in game_ids]).rowcount


def _silence(game_ids: Sequence[str], until: datetime | None, why: str, connection: Connection) -> set[str]:
    until_text = None if until is None else format_instant(until)
    return {
        game_id
        for game_id in dict.fromkeys(game_ids)
        if connection.execute(_SILENCE, {"game": game_id, "until": until_text, "why": why or None}).rowcount
    }


def _list_if_changed(status: str, listing: Listing, known: int | None, connection: Connection) -> int:
    """Reads the listing unless the table's revision is the `known` one. Returns the revision."""
    revision = _revision(connection)
    if not revision or revision != known:
        _read(_OF_STATUS, {"status": status}, listing, connection)
    return revision


def _read(query: Select[Any], parameters: Mapping[str, str], listing: Listing, connection: Connection) -> None:
    listing.read(connection.execute(query, parameters, execution_options=IN_PORTIONS))


def _revision(connection: Connection) -> int:
    """Returns the number of the last edit of the table, or 0 if edits are not counted, or the number was altered.

    They are only in SQLite: in PostgreSQL every edit would have to wait for the transaction of the one before it.
    """
    if connection.dialect.name != "sqlite":
        return 0
    revision = connection.execute(_REVISION).scalar()
    return revision if type(revision) is int and revision <= MOST else 0


def _record_of(row: tuple[Any, ...]) -> RuntimeRecord:
    """Returns the record of a row, which other programs may have written: SQLite does not enforce column types."""
    game_id, container_id, endpoint, status, probe, until, why, labels = row
    if game_id == "" or not isinstance(game_id, str | bytes):
        raise UnusableRow("game_id is empty or no text")
    named = {"game_id": game_id, "current_container_id": container_id, "engine_endpoint": endpoint, "status": status}
    for name, value in named.items():
        if isinstance(value, bytes):
            raise UnusableRow(not_utf_8(name, value, "" if name == "game_id" else f" for game {game_id!s}"), game_id)
    record = RuntimeRecord(
        str(game_id),
        str(container_id),
        str(endpoint),
        str(status),
        probe_settings_text(probe),
        silenced_until_or_none(until),
        note_of(why),
        parse_labels(labels),
    )
    if "\0" in record.game_id or "\0" in record.current_container_id:
        raise UnusableRow("a NUL character is in the row: other databases and buses take none", record.game_id)
    return record
