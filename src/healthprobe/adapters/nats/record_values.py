"""The values of the bucket as runtime records, and the index of all of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
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


class RecordIndex:
    """Records by their keys, and the faults of values that are no records.

    They are kept in slots by the checksum of the key, each in the order of the keys, so that a listing is in the same
    order in every instance, and can be made slot by slot.
    """

    def __init__(self) -> None:
        self.faults: dict[str, str] = {}
        self._games_of_faults: dict[str, str] = {}
        self.version = 0
        self._slots: list[dict[str, RuntimeRecord]] = [{} for _ in range(_SLOTS)]
        self._unsorted: set[int] = set()
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
            known = self._slots[_slot_of(key)].get(key)
            self._games_of_faults.setdefault(key, "" if known is None else known.game_id)
            self._drop_record(key)
            self.faults[key] = str(fault)
            return
        self._forget_fault(key)
        number = _slot_of(key)
        known = self._slots[number].get(key)
        if known != record:
            self._slots[number][key] = record
            self.version += 1
        if known is None:
            self._unsorted.add(number)
            self._count += 1

    def drop(self, key: str) -> None:
        """Removes `key`."""
        self._forget_fault(key)
        self._drop_record(key)

    async def keep_only(self, keys: Collection[str]) -> None:
        """Removes all other keys."""
        async for slot in self._slots_in_turns():
            for key in [key for key in slot if key not in keys]:
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
            records += [record for record in slot.values() if record.status == status]
        if records == known:
            records = known
        self._listings[status] = (version, records)
        return records

    async def entries(self) -> list[tuple[str, RuntimeRecord]]:
        """Returns every key that has a record, with it."""
        entries: list[tuple[str, RuntimeRecord]] = []
        async for slot in self._slots_in_turns():
            entries += slot.items()
        return entries

    @property
    def left_out(self) -> frozenset[str]:
        """The games whose values are no records any more; "" is one whose value never was."""
        return frozenset(self._games_of_faults.values())

    def _forget_fault(self, key: str) -> None:
        self.faults.pop(key, None)
        self._games_of_faults.pop(key, None)

    def _drop_record(self, key: str) -> None:
        if self._slots[_slot_of(key)].pop(key, None) is not None:
            self._count -= 1
            self.version += 1

    async def _slots_in_turns(self) -> AsyncIterator[dict[str, RuntimeRecord]]:
        passed = 0
        for number in range(_SLOTS):
            if number in self._unsorted:
                self._unsorted.remove(number)
                self._slots[number] = dict(sorted(self._slots[number].items()))
            passed += len(self._slots[number])
            yield self._slots[number]
            if passed >= _RECORDS_A_TURN:
                passed = 0
                await asyncio.sleep(0)


def _slot_of(key: str) -> int:
    return crc32(key.encode(errors="surrogatepass")) % _SLOTS


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
        key.encode()
    except UnicodeEncodeError as error:
        raise InvalidValue(f"key {_quoted(key)}: it is not UTF-8: delete it") from error
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
    fields = {name: value for name in RECORD_FIELDS if (value := getattr(record, name)) or name in _ALWAYS}
    if record.labels:
        fields["labels"] = dict(record.labels)
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
