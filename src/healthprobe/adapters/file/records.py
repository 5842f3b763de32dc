"""Reads runtime records from a file, again whenever it changes."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from healthprobe.adapters.file.content import Signature, UnreadableFile, read_content, signature_of
from healthprobe.adapters.file.runtimes import parse_records
from healthprobe.domain.record import RuntimeRecord
from healthprobe.ports import ConfigurationError, StoreError


@dataclass(frozen=True, slots=True)
class _Reading:
    """The file when it was last read: its records, or the fault in it."""

    signature: Signature | None = None
    records: list[RuntimeRecord] = field(default_factory=list)
    fault: str | None = None
    listings: dict[str, list[RuntimeRecord]] = field(default_factory=dict)


_NOTHING_READ = _Reading()


class FileRecords:
    """Runtime records in a JSON or YAML file, in the forms of `parse_records`. Made by `open`.

    A file that is being written is read once it has not changed for a moment. A writer that pauses for longer should
    write a new file and rename it: half of a file may be a valid, shorter list.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self._reading = _NOTHING_READ

    @classmethod
    async def open(cls, path: str | os.PathLike[str]) -> Self:
        """Reads the file for the first time. Raises ConfigurationError with file, line and field."""
        store = cls(path)
        await store._refresh()
        if store._reading.fault is not None:
            await store._refresh()  # which waits for the end of a file that is being written
        if store._reading.fault is not None:
            raise ConfigurationError(store._reading.fault)
        return store

    async def list_by_status(self, status: str) -> list[RuntimeRecord]:
        """Returns the records that have `status`, in the order of the file: the same list until the file changes.

        Raises StoreError, each time with the same message, while the file is missing or invalid.
        """
        await self._refresh()
        reading = self._reading
        if reading.fault is not None:
            raise StoreError(reading.fault)
        if status not in reading.listings:
            reading.listings[status] = [record for record in reading.records if record.status == status]
        return reading.listings[status]

    async def _refresh(self) -> None:
        self._reading = await asyncio.to_thread(_read_if_changed, self._path, self._reading)


def read_records(path: str | os.PathLike[str]) -> list[RuntimeRecord]:
    """Reads a file once and returns all its records. Raises ConfigurationError as `open` does."""
    reading = _read_if_changed(Path(path), _NOTHING_READ)
    if reading.fault is not None:
        raise ConfigurationError(reading.fault)
    return reading.records


def _read_if_changed(path: Path, known: _Reading) -> _Reading:
    try:
        if known.signature is not None and signature_of(path) == known.signature:
            return known
        signature, content = read_content(path, settled=known is not _NOTHING_READ)
    except UnreadableFile as error:
        return replace(known, signature=None, fault=f"{path}: {error}")
    try:
        records = parse_records(_text_of(content, path), str(path))
    except ConfigurationError as error:
        return replace(known, signature=signature, fault=str(error))
    if records == known.records:
        return replace(known, signature=signature, fault=None)
    return _Reading(signature, records)


def _text_of(content: bytes, path: Path) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(f"{path}:{line}: not UTF-8 text: save the file as UTF-8") from error
