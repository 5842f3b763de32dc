"""The listing: the records of a query, read again and again; what did not change stays the very same object."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, TypeVar

from sqlalchemy import CursorResult

from healthprobe.adapters.sql.place import READ_TIMEOUT
from healthprobe.domain.record import RuntimeRecord
from healthprobe.ports import StoreError

_PORTION = 500
IN_PORTIONS = {"yield_per": _PORTION}
"""The execution option of a query that is read: each portion is about a millisecond's work, and while the database
brings the next the event loop has its turn."""

Row = tuple[Any, ...]
Item = TypeVar("Item")


class Unusable(ValueError):
    """A row that tells no runtime record. The message names the column and says what to change."""


class Listing:
    """What a query told when it was last read.

    A row that was there before costs one look into a dict: of a hundred thousand games a few change between two ticks.
    `record_of` makes a record of a new row, or raises Unusable: such a row is left out, counted in `skipped`, and
    `first_fault` tells of the first. `others` are the statuses of those that have another one than was asked for.
    """

    def __init__(self, record_of: Callable[[Row], RuntimeRecord]) -> None:
        self._record_of = record_of
        self._known: dict[Row, RuntimeRecord] = {}
        self.records: list[RuntimeRecord] = []
        self.skipped = 0
        self.first_fault = ""
        self.others: list[str] = []
        self._was_whole = True

    def read(
        self, result: CursorResult[Any], columns: Callable[[Sequence[Any]], Row] = tuple, having: str | None = None
    ) -> list[RuntimeRecord]:
        """Take the rows of `result` over; the very same list again where they tell the same records.

        `columns` takes out of a row what `record_of` is given. Records of another status than `having` are left out.
        """
        was_whole, self._was_whole = self._was_whole, False
        known, records, seen = self._known, list[RuntimeRecord](), set[int]()
        known_before = len(known)
        faults: list[str] = []
        others: list[str] = []
        for row in map(columns, chain.from_iterable(_in_time(result.partitions(_PORTION)))):
            try:
                record = self._record(row)
            except Unusable as fault:
                faults.append(str(fault))
                continue
            if having is None or record.status == having:
                known[row] = record
                seen.add(id(record))
                records.append(record)
            else:
                others.append(record.status)
        self.others = others
        self.skipped, self.first_fault = len(faults), faults[0] if faults else ""
        is_the_same = len(seen) == len(known) == known_before and len(records) == len(self.records)
        if not (is_the_same and was_whole):
            self.records = records
            self._forget_all_but(seen)
        self._was_whole = True
        return self.records

    def _record(self, row: Row) -> RuntimeRecord:
        try:
            known = self._known.get(row)
        except TypeError:  # a column holds a list or the like
            known = None
        return known or self._record_of(row)

    def _forget_all_but(self, seen: set[int]) -> None:
        """Row by row: a hundred thousand that are compared or freed at a stroke hold up the event loop."""
        for row in [row for row, record in self._known.items() if id(record) not in seen]:
            del self._known[row]


def _in_time(portions: Iterable[Item]) -> Iterator[Item]:
    """`portions`, as long as all of them come in time: the database itself bounds each of them alone."""
    latest = time.monotonic() + READ_TIMEOUT
    for portion in portions:
        yield portion
        if time.monotonic() > latest:
            raise StoreError(f"the query took longer than {READ_TIMEOUT:g}s and was given up")
