"""The value: a runtime record as it stands under a key of a bucket, whoever has put it there."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from healthprobe.domain.event import format_instant
from healthprobe.domain.record import RUNNING, RuntimeRecord
from healthprobe.domain.record_fields import probe_text, silence_or_none


class _Value(msgspec.Struct, forbid_unknown_fields=True):
    engine_endpoint: str
    game_id: str | None = None
    current_container_id: str | None = None
    status: str = RUNNING
    probe: Any = None
    silenced_until: Any = None
    silenced_why: str = ""


_values = msgspec.json.Decoder(_Value)
_FIELDS = ("game_id", "current_container_id", "engine_endpoint", "status", "probe", "silenced_until", "silenced_why")
_ALWAYS = ("game_id", "current_container_id", "engine_endpoint", "status")
_FORM = '{"engine_endpoint": "http://HOST:PORT"}'
_LONGEST_QUOTE = 80


class Unusable(ValueError):
    """A value that is no runtime record. The message names the key, and says what to change."""


def record_of(key: str, value: bytes) -> RuntimeRecord:
    """The record that `value` tells: a JSON object with the fields that a record has in files, under the same rules.

    `engine_endpoint` must be there; without `game_id` the key is the game's id. Raises Unusable.
    """
    try:
        told = _values.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Unusable(f"key {_quoted(key)}: {_advice(error, value)}") from error
    game_id = key if told.game_id is None or told.game_id == key else told.game_id  # no text is kept twice
    status = RUNNING if told.status == RUNNING else told.status
    record = RuntimeRecord(
        game_id,
        told.current_container_id or "",
        told.engine_endpoint,
        status,
        probe_text(told.probe),
        silence_or_none(told.silenced_until),
        told.silenced_why,
    )
    if not game_id:
        raise Unusable(f"key {_quoted(key)}: game_id: it is empty: name the game, or leave the field out")
    if "\0" in game_id or "\0" in record.current_container_id:
        raise Unusable(f"key {_quoted(key)}: game_id or current_container_id contains a NUL character: leave it out")
    return record


def value_of(record: RuntimeRecord) -> bytes:
    """What `record_of` reads as `record` under any key. Raises UnicodeEncodeError for what is no text."""
    told = {name: value for name in _FIELDS if (value := getattr(record, name)) not in {"", None} or name in _ALWAYS}
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
    return settings if isinstance(settings, dict) and probe_text(settings) == probe else probe


def _advice(error: Exception, value: bytes) -> str:
    """The problem in a user's words, with what to change."""
    if not isinstance(error, msgspec.ValidationError):
        return f"not valid JSON: write {_FORM}" if value.strip() else f"it is empty: write {_FORM}, or delete the key"
    problem, _, place = str(error).replace("`", "").partition(" - at $.")
    if field := re.search("unknown field (.*)", problem, re.DOTALL):
        return f"{_quoted(field[1])}: there is no such field; there are {', '.join(_FIELDS)}"
    if field := re.search("missing required field (.*)", problem):
        return f"the field {field[1]} is missing: write {_FORM}"
    return f"{place}: it is no text: put it in quotes" if place else f"it is no object: write {_FORM}"


def _quoted(name: str) -> str:
    return repr(name if len(name) <= _LONGEST_QUOTE else f"{name[:_LONGEST_QUOTE]}…")
