"""A store in a CSV file, read again at every listing."""

from __future__ import annotations

import asyncio
import csv
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from healthprobe.domain.record import RuntimeRecord
from healthprobe.ports import StoreError
from healthprobe_plaintext.location import path_of

COLUMNS = ("game_id", "current_container_id", "engine_endpoint", "status")


class CsvRecords:
    """A RuntimeRecordStore. The first line of the file names the columns, in any order; other columns are ignored.

    Programs that write the file should write a new one and rename it, otherwise a listing may read half a file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    async def list_by_status(self, status: str) -> list[RuntimeRecord]:
        """Returns the records with `status`. Raises StoreError with the number of a line that cannot be read."""
        return [record for record in await asyncio.to_thread(self._read) if record.status == status]

    def _read(self) -> list[RuntimeRecord]:
        try:
            with self._path.open(encoding="utf-8-sig", newline="") as file:
                rows = csv.DictReader(file, strict=True)
                return [self._record(row, rows.line_num) for row in rows]
        except OSError as error:
            raise StoreError(f"{self._path} cannot be read: {error.strerror}") from error
        except (UnicodeDecodeError, csv.Error) as error:
            raise StoreError(f"{self._path} is not CSV in UTF-8: {error}") from error

    def _record(self, row: dict[str, str | None], line: int) -> RuntimeRecord:
        cells = {column: cell for column in COLUMNS if (cell := row.get(column)) is not None}
        if missing := [column for column in COLUMNS if column not in cells]:
            raise StoreError(f"{self._path}:{line}: no {missing[0]}; write {','.join(COLUMNS)}")
        if not cells["game_id"]:
            raise StoreError(f"{self._path}:{line}: a game without an id")
        return RuntimeRecord(cells["game_id"], cells["current_container_id"], cells["engine_endpoint"], cells["status"])


@asynccontextmanager
async def open_records(url: str) -> AsyncIterator[CsvRecords]:
    """The entry point of `--records csv:PATH`."""
    yield CsvRecords(path_of(url))
