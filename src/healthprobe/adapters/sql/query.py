"""The query: runtime records out of somebody else's tables, by a SELECT of the user's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from operator import itemgetter
from typing import Any, Self

from sqlalchemy import Connection, CursorResult

from healthprobe.adapters.sql.database import SqlDatabase
from healthprobe.adapters.sql.listing import IN_PORTIONS, Listing, Row, Unusable
from healthprobe.domain.record import RUNNING, RuntimeRecord, probe_settings_text, silenced_until_or_none
from healthprobe.ports import ConfigurationError, StoreError

_REQUIRED = ("game_id", "current_container_id", "engine_endpoint")
_STATUS = "status"
_OPTIONAL = (_STATUS, "probe", "silenced_until", "silenced_why")
_OPTION = "--records-query"


class SqlQuery:
    """The runtime records that a SELECT gives, read in a transaction that cannot write. Made by `open`.

    Its columns are `game_id`, `current_container_id` and `engine_endpoint`, in any order and among others, and `status`
    where it does not give running games alone; `probe`, as JSON or as its text, `silenced_until`, as an instant or as
    its text, and `silenced_why` where it likes. `on_skipped` is told after each listing how many rows were left out,
    because they hold a null or no text, and why the first of them was; or that none of all has the status asked for.
    """

    def __init__(self, database: SqlDatabase, query: str, on_skipped: Callable[[int, str], None]) -> None:
        self._database = database
        self._query = query.strip().rstrip(";")
        self._on_skipped = on_skipped
        self._listings: dict[str, Listing] = {}

    @classmethod
    async def open(cls, url: str, query: str, on_skipped: Callable[[int, str], None]) -> Self:
        """Try the query on the database that `url` names.

        Raises ConfigurationError with the column where one is missing, null or no text in any row; StoreError or
        LogError where the database is away for now.
        """
        store = cls(await SqlDatabase.open_foreign(url), query, on_skipped)
        try:
            listing = await store._read(RUNNING)
        except BaseException as error:
            await store.aclose()
            if isinstance(error, StoreError) and error.permanent:
                raise ConfigurationError(f"{_OPTION}: {error}") from error
            raise
        if listing.skipped:
            await store.aclose()
            raise ConfigurationError(f"{_OPTION}: {listing.first_fault}")
        return store

    async def list_by_status(self, status: str) -> list[RuntimeRecord]:
        """The records that have `status`: the very same list again where the rows are the same. Raises StoreError."""
        listing = await self._read(status)
        if listing.others and not listing.records:
            told = f"no status is {status!r}, the first is {listing.others[0]!r}: write {status!r} for games that run"
            self._on_skipped(listing.skipped + len(listing.others), told)
        else:
            self._on_skipped(listing.skipped, listing.first_fault)
        return listing.records

    async def aclose(self) -> None:
        """Close the connection."""
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
    """What takes the columns of a runtime record out of a row. Raises StoreError where one is missing."""
    if not result.returns_rows:
        raise StoreError("it gives no rows: write a SELECT", permanent=True)
    places: Mapping[str, int] = {name: place for place, name in reversed(list(enumerate(result.keys())))}
    for name in _REQUIRED:
        if name not in places:
            given = ", ".join(result.keys())
            raise StoreError(f"there is no column {name}, only {given}: write … AS {name}", permanent=True)
    if not any(name in places for name in _OPTIONAL):
        return itemgetter(*(places[name] for name in _REQUIRED))
    names = (*_REQUIRED, *_OPTIONAL)
    return partial(_row_of, [places.get(name) for name in names], names.index("probe"))


def _row_of(places: Sequence[int | None], probe: int, row: Sequence[Any]) -> Row:
    """A row with all columns. Settings are text, and what is no silence is none: a mapping or a list has no hash."""
    found = [None if place is None else row[place] for place in places]
    if places[len(_REQUIRED)] is None:
        found[len(_REQUIRED)] = RUNNING
    found[probe] = probe_settings_text(found[probe])
    until, why = found[probe + 1 :]
    found[probe + 1 :] = silenced_until_or_none(until), why if isinstance(why, str) else ""
    return tuple(found)


def _record_of(row: Row) -> RuntimeRecord:
    required = row[: len(_REQUIRED) + 1]
    for name, value in zip((*_REQUIRED, _STATUS), required, strict=False):
        if not isinstance(value, str):
            raise Unusable(_misfit(name, value, row))
    if not row[0]:
        raise Unusable("game_id is empty: leave such rows out with WHERE")
    if any("\0" in value for value in required):
        raise Unusable(f"a NUL character is in the row of {row[0]!r}: leave it out with WHERE")
    game_id, container_id, endpoint, status = (*required, RUNNING)[:4]
    probe, until, why = row[4:] or ("", None, "")
    return RuntimeRecord(game_id, container_id, endpoint, status, probe, until, why)


def _misfit(name: str, value: object, row: Row) -> str:
    where = "" if name == "game_id" else f" for game {row[0]}"
    if value is None:
        return f"{name} is null{where}: write COALESCE, or leave such rows out with WHERE … IS NOT NULL"
    return f"{name} is {type(value).__name__}, not text{where}: write CAST(… AS TEXT) AS {name}"
