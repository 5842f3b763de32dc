"""The records of a query that is read again and again. A record that did not change stays the same object."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, TypeVar

from sqlalchemy import CursorResult

from healthprobe._util.text import shorten
from healthprobe.adapters.sql.backend import READ_TIMEOUT
from healthprobe.domain.record import RuntimeRecord
from healthprobe.ports import StoreError

_PORTION = 500
IN_PORTIONS = {"yield_per": _PORTION}
"""The execution option of a query that is read: a portion is about a millisecond of work, and the event loop gets its
turn while the database fetches the next."""

Row = tuple[Any, ...]
Item = TypeVar("Item")


OnSkipped = Callable[[int, str], None]
"""Is called after each listing with the number of rows that were left out and the reason for the first."""


class UnusableRow(ValueError):
    """A row is not a runtime record. The message names the column and says what to change.

    `game_id` is that of its game, or empty if it is not known.
    """

    def __init__(self, message: str, game_id: object = "") -> None:
        super().__init__(message)
        self.game_id = game_id if isinstance(game_id, str) else ""


def not_utf_8(name: str, value: bytes, where: str) -> str:
    """Returns the fault of a row whose column `name` is no text. `where` says which game's it is, if that is known."""
    return f"{name} is not UTF-8{where}: {shorten(repr(value), 80)}"


def note_of(value: object) -> str:
    """Returns the note of a silence. What is no text there hides no game: only its characters that are not UTF-8 go."""
    return value.decode(errors="replace") if isinstance(value, bytes) else value if isinstance(value, str) else ""


class Listing:
    """The records of a query when it was last read.

    A known row costs one dict lookup: of a hundred thousand games a few change between two ticks. `record_of` makes a
    record of a new row, or raises UnusableRow: then the row is left out and counted in `skipped`; `first_fault` is why
    the first was, and `left_out` has the games of all. `other_statuses` are those of the records that did not have the
    status asked for.
    """

    def __init__(self, record_of: Callable[[Row], RuntimeRecord]) -> None:
        self._record_of = record_of
        self._known: dict[Row, RuntimeRecord] = {}
        self.records: list[RuntimeRecord] = []
        self.skipped = 0
        self.first_fault = ""
        self.left_out: frozenset[str] = frozenset()
        self.other_statuses: list[str] = []
        self._was_whole = True

    def read(
        self, result: CursorResult[Any], columns: Callable[[Sequence[Any]], Row] = tuple, having: str | None = None
    ) -> list[RuntimeRecord]:
        """Reads the rows of `result` and returns their records: the same list if they are the same records.

        `columns` returns the part of a row that `record_of` gets. Records of another status than `having` are left out.
        """
        was_whole, self._was_whole = self._was_whole, False
        known, records, seen = self._known, list[RuntimeRecord](), set[int]()
        known_before = len(known)
        faults: list[str] = []
        left_out: set[str] = set()
        others: list[str] = []
        for row in map(columns, chain.from_iterable(_with_timeout(result.partitions(_PORTION)))):
            try:
                record = self._record(row)
            except UnusableRow as fault:
                faults.append(str(fault))
                left_out.add(fault.game_id)
                continue
            if having is None or record.status == having:
                known[row] = record
                seen.add(id(record))
                records.append(record)
            else:
                others.append(record.status)
        self.other_statuses = others
        self.skipped, self.first_fault = len(faults), faults[0] if faults else ""
        self.left_out = frozenset(left_out)
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
        """Removes row by row: to compare or free a hundred thousand at once would block the event loop."""
        for row in [row for row, record in self._known.items() if id(record) not in seen]:
            del self._known[row]


def _with_timeout(portions: Iterable[Item]) -> Iterator[Item]:
    """Yields `portions`. Raises StoreError if all together take too long: the database limits only each of them."""
    latest = time.monotonic() + READ_TIMEOUT
    for portion in portions:
        yield portion
        if time.monotonic() > latest:
            raise StoreError(f"the query took longer than {READ_TIMEOUT:g}s and was given up")
