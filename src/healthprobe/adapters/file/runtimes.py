"""Runtimes as files tell them: a list of runtime records, of Prometheus file_sd groups, or of both."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any

import msgspec

from healthprobe.adapters.file.markup import line_of, parse_markup
from healthprobe.adapters.file.yaml_builder import Malformed, Path
from healthprobe.domain.probe_parsing import InvalidSettings, parse_settings
from healthprobe.domain.record import RUNNING, RuntimeRecord, parse_silenced_until, probe_settings_text
from healthprobe.ports import ConfigurationError

MAX_RECORDS = 1_000_000
"""The most records that one text may tell."""

_GameId = Annotated[str, msgspec.Meta(pattern=r"\A[^\x00]+\Z")]
_ContainerId = Annotated[str, msgspec.Meta(pattern=r"\A[^\x00]*\Z")]
_HostAndPort = Annotated[str, msgspec.Meta(pattern=r"\A[^\x00/@]+\Z")]


class _Record(msgspec.Struct, forbid_unknown_fields=True):
    game_id: _GameId
    engine_endpoint: str
    current_container_id: _ContainerId | None = None
    status: str = RUNNING
    probe: Any = None
    silenced_until: Any = None
    silenced_why: str = ""


class _Labels(msgspec.Struct, rename={"scheme": "__scheme__"}):
    game_id: _GameId | None = None
    container_id: _ContainerId = ""
    scheme: str = "http"


class _Group(msgspec.Struct, forbid_unknown_fields=True):
    targets: list[_HostAndPort]
    labels: _Labels | None = None


_NO_LABELS = _Labels()
_KINDS = {
    str: "text",
    bool: "a truth value; quote it",
    int: "a number; quote it",
    float: "a number; quote it",
    list: "a list",
    dict: "a mapping",
    type(None): "nothing",
}


def parse_records(text: str, name: str) -> list[RuntimeRecord]:
    """The runtime records that `text` tells, in its order.

    `name` is how messages call the text, and says JSON where it ends in `.json`; otherwise the content decides. A
    file_sd group gives one record a target, at `http://TARGET` (the label `__scheme__` may say https); the labels
    `game_id` and `container_id` name its game, and without them the target is its own id. Raises ConfigurationError
    with the line and the field.
    """
    try:
        return _records_in(parse_markup(text, is_json=name.endswith(".json")))
    except Malformed as malformed:
        raise ConfigurationError(_described(malformed, text, name)) from malformed


def _records_in(document: Any) -> list[RuntimeRecord]:
    records: list[RuntimeRecord] = []
    for index, entry in enumerate(_entries(document)):
        records.extend(_records_of(entry, index))
        if len(records) > MAX_RECORDS:
            raise Malformed(f"more than {MAX_RECORDS:,} records", path=(index,))
    return records


def _entries(document: Any) -> list[Any]:
    if document is None:
        raise Malformed("it is empty; a list without records is written []")
    if not isinstance(document, list):
        raise Malformed("expected a list of runtime records or of file_sd groups")
    return document


def _records_of(entry: Any, index: int) -> Iterator[RuntimeRecord]:
    kind: type[_Record | _Group] = _Group if isinstance(entry, dict) and "targets" in entry else _Record
    try:
        told: _Record | _Group = msgspec.convert(entry, kind)
    except msgspec.ValidationError as error:
        problem, path = _parts(str(error))
        raise Malformed(_advice(problem, _value_at(entry, path), kind), path=(index, *path)) from error
    if isinstance(told, _Group):
        yield from _records_of_group(told, index)
    else:
        yield _record_of(told, index)


def _record_of(told: _Record, index: int) -> RuntimeRecord:
    probe = probe_settings_text(told.probe)
    try:
        parse_settings(probe)
    except InvalidSettings as invalid:
        raise Malformed(str(invalid), path=(index, "probe")) from invalid
    try:
        until = parse_silenced_until(told.silenced_until)
    except ValueError as error:
        raise Malformed(str(error), path=(index, "silenced_until")) from error
    container = told.current_container_id or ""
    return RuntimeRecord(told.game_id, container, told.engine_endpoint, told.status, probe, until, told.silenced_why)


def _records_of_group(group: _Group, index: int) -> Iterator[RuntimeRecord]:
    labels = group.labels or _NO_LABELS
    if labels.game_id is not None and len(group.targets) > 1:
        message = f"one game has one target, and this group has {len(group.targets)}; give each a group of its own"
        raise Malformed(message, path=(index, "labels", "game_id"))
    for target in group.targets:
        yield RuntimeRecord(labels.game_id or target, labels.container_id, f"{labels.scheme}://{target}")


def _parts(message: str) -> tuple[str, Path]:
    """The problem that msgspec tells and where it is, as in "… - at `$.targets[0]`"."""
    problem, _, place = message.partition(" - at `$")
    path: Path = tuple(int(number) if number else name for name, number in re.findall(r"\.(\w+)|\[(\d+)\]", place))
    if field := re.search("unknown field `(.*)`", problem):
        path = (*path, field[1])
    return problem.replace("`", ""), path


def _value_at(entry: Any, path: Path) -> Any:
    """What stands there, or None: msgspec quotes an unknown field as it was written, and it may look like a place."""
    try:
        for step in path:
            entry = entry[step]
    except (LookupError, TypeError):
        return None
    return entry


def _advice(problem: str, value: Any, kind: type[_Record | _Group]) -> str:
    """The problem in a user's words, with what to change."""
    if problem.startswith("Expected object"):
        return "expected a mapping with game_id and engine_endpoint, or with targets"
    if "unknown field" in problem:
        return f"there is no such field; there are {', '.join(kind.__struct_fields__)}"
    if field := re.search("missing required field (.*)", problem):
        return f"the field {field[1]} is missing"
    return _misfit(problem, value)


def _misfit(problem: str, value: Any) -> str:
    if isinstance(value, str) and "\0" in value:
        return "it contains a NUL character"
    if value == "":
        return "it is empty"
    if "regex" in problem:
        return "expected HOST:PORT, without a scheme or a path"
    expected = "a list" if problem.startswith("Expected array") else "text"
    return f"expected {expected}, and this is {_KINDS.get(type(value), 'something else')}"


def _described(malformed: Malformed, text: str, name: str) -> str:
    """One line in the form `engines.yaml:7: game_id: …`."""
    line = malformed.line or line_of(text, malformed.path)
    field = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in malformed.path[1:]).lstrip(".")
    return ": ".join(part for part in (f"{name}:{line}", field, str(malformed)) if part)
