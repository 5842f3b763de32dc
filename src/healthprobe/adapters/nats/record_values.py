"""The values of the bucket, read as runtime records."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

import msgspec

from healthprobe._util.text import shorten
from healthprobe.domain.event import format_instant
from healthprobe.domain.record import (
    RECORD_FIELDS,
    InvalidRecord,
    RuntimeRecord,
    probe_settings_text,
    record_from_document,
)

_SLOTS = 512
_PORTION = 2000
"""So many records are gone through in a third of a millisecond, after which all others on the loop have their turn."""


@dataclass(slots=True)
class _Slot:
    """Keys in order, and their records beside them: a key is found and put in without moving all others."""

    keys: list[str] = field(default_factory=list)
    records: list[RuntimeRecord] = field(default_factory=list)

    def find(self, key: str) -> tuple[int, RuntimeRecord | None]:
        """Where `key` is or would be, and its record."""
        place = bisect_left(self.keys, key)
        is_there = place < len(self.keys) and self.keys[place] == key
        return place, self.records[place] if is_there else None


class Contents:
    """Records by their keys, and the faults of values that are none.

    Records are in the order of their keys' checksums, and of the keys where those are the same: which of two records of
    one game comes first depends on nothing that happened.
    """

    def __init__(self) -> None:
        self.faults: dict[str, str] = {}
        self.revision = 0
        self._slots = tuple(_Slot() for _ in range(_SLOTS))
        self._count = 0
        self._listings: dict[str, tuple[int, list[RuntimeRecord]]] = {}

    def __len__(self) -> int:
        """How many keys there are, those with faults among them."""
        return self._count + len(self.faults)

    def take(self, key: str, value: bytes) -> None:
        """Under `key` stands `value` now. Where it is no record, the one that stood there before is gone."""
        try:
            record = record_of(key, value)
        except Unusable as fault:
            self._drop_record(key)
            self.faults[key] = str(fault)
            return
        self.faults.pop(key, None)
        slot = self._slot(key)
        place, known = slot.find(key)
        if known is None:
            slot.keys.insert(place, key)
            slot.records.insert(place, record)
            self._count += 1
        elif known != record:
            slot.records[place] = record
        else:
            return
        self.revision += 1

    def drop(self, key: str) -> None:
        """Nothing stands under `key` any more."""
        self.faults.pop(key, None)
        self._drop_record(key)

    async def keep_only(self, keys: Collection[str]) -> None:
        """Drop all others."""
        async for slot in self._in_portions():
            for key in [key for key in slot.keys if key not in keys]:
                self.drop(key)
        for key in [key for key in self.faults if key not in keys]:
            self.drop(key)

    async def listing(self, status: str) -> list[RuntimeRecord]:
        """The records that have `status`: the very same list again as long as they have not changed."""
        revision, known = self._listings.get(status, (-1, []))
        if revision == self.revision:
            return known
        revision, records = self.revision, list[RuntimeRecord]()
        async for slot in self._in_portions():
            records += [record for record in slot.records if record.status == status]
        if records == known:
            records = known
        self._listings[status] = (revision, records)
        return records

    async def entries(self) -> list[tuple[str, RuntimeRecord]]:
        """Every key that has a record, with it."""
        entries: list[tuple[str, RuntimeRecord]] = []
        async for slot in self._in_portions():
            entries += zip(slot.keys, slot.records, strict=True)
        return entries

    def _drop_record(self, key: str) -> None:
        slot = self._slot(key)
        place, known = slot.find(key)
        if known is not None:
            del slot.keys[place], slot.records[place]
            self._count -= 1
            self.revision += 1

    async def _in_portions(self) -> AsyncIterator[_Slot]:
        passed = 0
        for slot in self._slots:
            passed += len(slot.keys)
            yield slot
            if passed >= _PORTION:
                passed = 0
                await asyncio.sleep(0)

    def _slot(self, key: str) -> _Slot:
        return self._slots[crc32(key.encode()) % _SLOTS]


_ALWAYS = ("game_id", "current_container_id", "engine_endpoint", "status")
_FORM = '{"engine_endpoint": "http://HOST:PORT"}'
_LONGEST_QUOTE = 80


class Unusable(ValueError):
    """A value that is no runtime record. The message names the key, and says what to change."""


def record_of(key: str, value: bytes) -> RuntimeRecord:
    """Returns the record in `value`: a JSON object with the same fields and rules as a record in a file.

    `engine_endpoint` is required; without `game_id` the key is the game's id. Raises Unusable.
    """
    try:
        document = msgspec.json.decode(value)
        if not isinstance(document, dict):
            raise Unusable(f"key {_quoted(key)}: it is not an object: write {_FORM}")
        return record_from_document(document, game_id=key)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        problem = "it is empty" if not value.strip() else "not valid JSON"
        raise Unusable(f"key {_quoted(key)}: {problem}: write {_FORM}, or delete the key") from error
    except InvalidRecord as error:
        problem = f"{_quoted(str(error.path[0]))}: {error}" if error.path else f"{error}: write {_FORM}"
        raise Unusable(f"key {_quoted(key)}: {problem}") from error


def value_of(record: RuntimeRecord) -> bytes:
    """What `record_of` reads as `record` under any key. Raises UnicodeEncodeError for what is no text."""
    told = {
        name: value for name in RECORD_FIELDS if (value := getattr(record, name)) not in {"", None} or name in _ALWAYS
    }
    if record.silenced_until is not None:
        told["silenced_until"] = format_instant(record.silenced_until)
    if record.probe:
        told["probe"] = _as_read(record.probe)
    return msgspec.json.encode(told)


def _as_read(probe: str) -> Any:
    """Settings as people want to see them under a key; what is no JSON stays the text that it is."""
    try:
        settings = msgspec.json.decode(probe)
    except (msgspec.MsgspecError, RecursionError):
        return probe
    return settings if isinstance(settings, dict) and probe_settings_text(settings) == probe else probe


def _quoted(name: str) -> str:
    return repr(shorten(name, _LONGEST_QUOTE))
