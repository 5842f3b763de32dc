"""Reads runtime records from another program's tables, by the user's own SELECT."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from operator import itemgetter
from typing import Any, Self

from sqlalchemy import Connection, CursorResult

from healthprobe.adapters.sql.database import SqlDatabase
from healthprobe.adapters.sql.listing import IN_PORTIONS, Listing, OnSkipped, Row, UnusableRow, not_utf_8, note_of
from healthprobe.adapters.sql.raw_values import text_or_bytes
from healthprobe.domain.labels import Labels, parse_labels
from healthprobe.domain.record import RUNNING, RuntimeRecord, probe_settings_text, silenced_until_or_none
from healthprobe.ports import ConfigurationError, StoreError

_REQUIRED = ("game_id", "current_container_id", "engine_endpoint")
_STATUS = "status"
_OPTIONAL = (_STATUS, "probe", "silenced_until", "silenced_why", "labels")
_LABEL = "label_"
_OPTION = "--records-query"


class SqlQuery:
    """The runtime records of a SELECT, read in a transaction that cannot write. Made by `open`.

    Its columns, in any order and among others, are `game_id`, `current_container_id`, `engine_endpoint`, and `status`
    if it does not select running games alone. Optional are `probe` (JSON or text), `silenced_until` (an instant or
    text), `silenced_why`, and `labels` (JSON or text) or a column `label_NAME` for each label. `on_skipped` is called
    after each listing with the number of rows that were left out and the reason for the first: a null, a value that is
    not text, or no row has the status asked for.
    """

    def __init__(self, database: SqlDatabase, query: str, on_skipped: OnSkipped) -> None:
        self._database = database
        self._query = query.strip().rstrip(";")
        self._on_skipped = on_skipped
        self._listings: dict[str, Listing] = {}
        self._left_out: frozenset[str] = frozenset()

    @property
    def left_out(self) -> frozenset[str]:
        return self._left_out

    @classmethod
    async def open(cls, url: str, query: str, on_skipped: OnSkipped) -> Self:
        """Runs the query on the database at `url`.

        Raises ConfigurationError if a column is missing, or if every row is unusable; StoreError or LogError if a retry
        may help.
        """
        store = cls(await SqlDatabase.open_foreign(url), query, on_skipped)
        try:
            listing = await store._read(RUNNING)
        except BaseException as error:
            await store.aclose()
            if isinstance(error, StoreError) and error.permanent:
                raise ConfigurationError(f"{_OPTION}: {error}") from error
            raise
        if listing.skipped and not listing.records and not listing.other_statuses:
            await store.aclose()
            raise ConfigurationError(f"{_OPTION}: {listing.first_fault}")
        return store

    async def list_by_status(self, status: str) -> list[RuntimeRecord]:
        """Returns the records that have `status`: the same list if they have not changed. Raises StoreError."""
        listing = await self._read(status)
        self._left_out = listing.left_out
        if listing.other_statuses and not listing.records:
            first = listing.other_statuses[0]
            self._left_out |= {""}
            reason = f"no status is {status!r}, the first is {first!r}: write {status!r} for games that run"
            self._on_skipped(listing.skipped + len(listing.other_statuses), reason)
        else:
            self._on_skipped(listing.skipped, listing.first_fault)
        return listing.records

    async def aclose(self) -> None:
        """Closes the connection."""
        await self._database.aclose()

    async def _read(self, status: str) -> Listing:
        listing = self._listings.setdefault(status, Listing(_record_of))
        await self._database.read(partial(self._list, listing, status), StoreError)
        return listing

    def _list(self, listing: Listing, status: str, connection: Connection) -> None:
        options = {"no_parameters": True, **IN_PORTIONS}
        with connection.exec_driver_sql(self._query, execution_options=options) as result:
            listing.read(result, _columns_of(result), having=status)


def _columns_of(result: CursorResult[Any]) -> Callable[[Sequence[Any]], Row]:
    """Returns a function that takes the columns of a record out of a row. Raises StoreError if one is missing."""
    if not result.returns_rows:
        raise StoreError("it gives no rows: write a SELECT", permanent=True)
    places: Mapping[str, int] = {name: place for place, name in reversed(list(enumerate(result.keys())))}
    for name in _REQUIRED:
        if name not in places:
            given = ", ".join(result.keys())
            raise StoreError(f"there is no column {name}, only {given}: write … AS {name}", permanent=True)
    labels = {name.removeprefix(_LABEL): place for name, place in places.items() if name.startswith(_LABEL)}
    if not labels and not any(name in places for name in _OPTIONAL):
        return itemgetter(*(places[name] for name in _REQUIRED))
    names = (*_REQUIRED, *_OPTIONAL)
    return partial(
        _row_of, [places.get(name) for name in names], names.index("probe"), tuple(labels), tuple(labels.values())
    )


def _row_of(
    places: Sequence[int | None], probe: int, labels: Sequence[str], label_places: Sequence[int], row: Sequence[Any]
) -> Row:
    """Returns a row with all columns, with values that have a hash: settings as text, an invalid silence as None.

    The last two are the names of the labels that have columns of their own, and their values.
    """
    found = [None if place is None else row[place] for place in places]
    if places[len(_REQUIRED)] is None:
        found[len(_REQUIRED)] = RUNNING
    found[probe] = probe_settings_text(found[probe])
    until, why, all_labels = found[probe + 1 :]
    found[probe + 1 :] = silenced_until_or_none(until), note_of(why), probe_settings_text(all_labels)
    return (*found, labels, tuple([_label_text(row[place]) for place in label_places]))


def _label_text(value: object) -> object:
    """Returns the value of a label; a whole number as its digits, for a column of them has one form only."""
    return str(value) if type(value) is int else value


def _record_of(row: Row) -> RuntimeRecord:
    required = row[: len(_REQUIRED) + 1]
    for name, value in zip((*_REQUIRED, _STATUS), required, strict=False):
        if not isinstance(value, str):
            raise UnusableRow(_misfit(name, value, row), row[0])
    if not row[0]:
        raise UnusableRow("game_id is empty: leave such rows out with WHERE")
    if any("\0" in value for value in required):
        raise UnusableRow(f"a NUL character is in the row of {row[0]!r}: leave it out with WHERE", row[0])
    game_id, container_id, endpoint, status = (*required, RUNNING)[:4]
    probe, until, why, labels, names, values = row[4:] or ("", None, "", "", (), ())
    return RuntimeRecord(game_id, container_id, endpoint, status, probe, until, why, _labels_of(labels, names, values))


def _labels_of(text: str, names: Sequence[str], values: Sequence[object]) -> Labels:
    """Returns the labels in a JSON column and in columns of their own, which win."""
    labels = parse_labels(text)
    return parse_labels({**labels, **dict(zip(names, values, strict=True))}) if names else labels


def _misfit(name: str, value: object, row: Row) -> str:
    where = "" if name == "game_id" else f" for game {row[0] if isinstance(row[0], str) else repr(row[0])}"
    if value is None:
        return f"{name} is null{where}: write COALESCE, or leave such rows out with WHERE … IS NOT NULL"
    if isinstance(value, bytes) and isinstance(text_or_bytes(value), bytes):
        return not_utf_8(name, value, where)
    return f"{name} is {type(value).__name__}, not text{where}: write CAST(… AS TEXT) AS {name}"
