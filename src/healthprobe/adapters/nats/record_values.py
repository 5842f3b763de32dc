"""The values of the bucket as runtime records, and the index of all of them."""

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
_RECORDS_A_TURN = 2000
"""Records between two turns of the event loop: they take a third of a millisecond."""


@dataclass(slots=True)
class _Slot:
    """Keys in order with their records: one is found and inserted without moving all others."""

    keys: list[str] = field(default_factory=list)
    records: list[RuntimeRecord] = field(default_factory=list)

    def find(self, key: str) -> tuple[int, RuntimeRecord | None]:
        """Returns where `key` is or would be, and its record."""
        place = bisect_left(self.keys, key)
        is_there = place < len(self.keys) and self.keys[place] == key
        return place, self.records[place] if is_there else None


class RecordIndex:
    """Records by their keys, and the faults of values that are no records.

    Records are in the order of their keys' checksums, then of the keys: which of two records of one game comes first
    does not depend on the order of changes.
    """

    def __init__(self) -> None:
        self.faults: dict[str, str] = {}
        self.version = 0
        self._slots = tuple(_Slot() for _ in range(_SLOTS))
        self._count = 0
        self._listings: dict[str, tuple[int, list[RuntimeRecord]]] = {}

    def __len__(self) -> int:
        """Returns the number of keys, including those with faults."""
        return self._count + len(self.faults)

    def put(self, key: str, value: bytes) -> None:
        """Sets the value of `key`. If it is no record, the one before is dropped."""
        try:
            record = decode_record(key, value)
        except InvalidValue as fault:
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
        self.version += 1

    def drop(self, key: str) -> None:
        """Removes `key`."""
        self.faults.pop(key, None)
        self._drop_record(key)

    async def keep_only(self, keys: Collection[str]) -> None:
        """Removes all other keys."""
        async for slot in self._slots_in_turns():
            for key in [key for key in slot.keys if key not in keys]:
                self.drop(key)
        for key in [key for key in self.faults if key not in keys]:
            self.drop(key)

    async def listing(self, status: str) -> list[RuntimeRecord]:
        """Returns the records that have `status`: the same list object as long as they have not changed."""
        version, known = self._listings.get(status, (-1, []))
        if version == self.version:
            return known
        version, records = self.version, list[RuntimeRecord]()
        async for slot in self._slots_in_turns():
            records += [record for record in slot.records if record.status == status]
        if records == known:
            records = known
        self._listings[status] = (version, records)
        return records

    async def entries(self) -> list[tuple[str, RuntimeRecord]]:
        """Returns every key that has a record, with it."""
        entries: list[tuple[str, RuntimeRecord]] = []
        async for slot in self._slots_in_turns():
            entries += zip(slot.keys, slot.records, strict=True)
        return entries

    def _drop_record(self, key: str) -> None:
        slot = self._slot(key)
        place, known = slot.find(key)
        if known is not None:
            del slot.keys[place], slot.records[place]
            self._count -= 1
            self.version += 1

    async def _slots_in_turns(self) -> AsyncIterator[_Slot]:
        passed = 0
        for slot in self._slots:
            passed += len(slot.keys)
            yield slot
            if passed >= _RECORDS_A_TURN:
                passed = 0
                await asyncio.sleep(0)

    def _slot(self, key: str) -> _Slot:
        return self._slots[crc32(key.encode()) % _SLOTS]


_ALWAYS = ("game_id", "current_container_id", "engine_endpoint", "status")
_FORM = '{"engine_endpoint": "http://HOST:PORT"}'
_LONGEST_QUOTE = 80


class InvalidValue(ValueError):
    """A value is no runtime record. The message names the key, and says what to change."""


def decode_record(key: str, value: bytes) -> RuntimeRecord:
    """Returns the record in `value`: a JSON object with the same fields and rules as a record in a file.

    `engine_endpoint` is required; without `game_id` the key is the game's id. Raises InvalidValue.
    """
    try:
        document = msgspec.json.decode(value)
        if not isinstance(document, dict):
            raise InvalidValue(f"key {_quoted(key)}: it is not an object: write {_FORM}")
        return record_from_document(document, game_id=key)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        problem = "it is empty" if not value.strip() else "not valid JSON"
        raise InvalidValue(f"key {_quoted(key)}: {problem}: write {_FORM}, or delete the key") from error
    except InvalidRecord as error:
        problem = f"{_quoted(str(error.path[0]))}: {error}" if error.path else f"{error}: write {_FORM}"
        raise InvalidValue(f"key {_quoted(key)}: {problem}") from error


def encode_record(record: RuntimeRecord) -> bytes:
    """Returns what `decode_record` reads as `record`, under any key. Raises UnicodeEncodeError for lone surrogates."""
    fields = {
        name: value for name in RECORD_FIELDS if (value := getattr(record, name)) not in {"", None} or name in _ALWAYS
    }
    if record.silenced_until is not None:
        fields["silenced_until"] = format_instant(record.silenced_until)
    if record.probe:
        fields["probe"] = _as_read(record.probe)
    return msgspec.json.encode(fields)


def _as_read(probe: str) -> Any:
    """Returns probe settings as an object, as people want to read them; what is no JSON object stays text."""
    try:
        settings = msgspec.json.decode(probe)
    except (msgspec.MsgspecError, RecursionError):
        return probe
    return settings if isinstance(settings, dict) and probe_settings_text(settings) == probe else probe


def _quoted(name: str) -> str:
    return repr(shorten(name, _LONGEST_QUOTE))
