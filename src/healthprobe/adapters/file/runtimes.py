"""Parses runtime records from text: a JSON or YAML list of records, of Prometheus file_sd groups, or of both."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from healthprobe.adapters.file.markup import line_of, parse_markup
from healthprobe.adapters.file.yaml_builder import Malformed
from healthprobe.domain.labels import parse_labels
from healthprobe.domain.probe.probe_parsing import InvalidSettings, parse_settings
from healthprobe.domain.record import (
    InvalidRecord,
    RuntimeRecord,
    check_keys,
    identifier_in,
    kind_of,
    parse_silenced_until,
    probe_settings_text,
    record_from_document,
    text_in,
)
from healthprobe.ports import ConfigurationError

MAX_RECORDS = 1_000_000
"""The most records in one text."""

_GROUP_FIELDS = ("targets", "labels")
_NAMES_OF_GAME = ("game_id", "container_id")


def parse_records(text: str, name: str) -> list[RuntimeRecord]:
    """Returns the runtime records in `text`, in its order.

    `name` is used in messages, and means JSON where it ends in `.json`; otherwise the content decides. A file_sd group
    gives one record for each target, at `http://TARGET` (the label `__scheme__` may say https, and `__metrics_path__`
    the path that is probed); the labels `game_id` and `container_id` name its game, and without them the target is its
    own id. All other labels are the record's, save those that begin with `__`, which Prometheus drops too. Raises
    ConfigurationError with the line and the field.
    """
    try:
        return _records_in(parse_markup(text, is_json=name.endswith(".json")))
    except Malformed as malformed:
        raise ConfigurationError(_message(malformed, text, name)) from malformed


def _records_in(document: Any) -> list[RuntimeRecord]:
    if document is None:
        raise Malformed("it is empty; a list without records is written []")
    if not isinstance(document, list):
        raise Malformed("expected a list of runtime records or of file_sd groups")
    records: list[RuntimeRecord] = []
    for index, entry in enumerate(document):
        try:
            records.extend(_records_of(entry))
        except InvalidRecord as error:
            raise Malformed(str(error), path=(index, *error.path)) from error
        if len(records) > MAX_RECORDS:
            raise Malformed(f"more than {MAX_RECORDS:,} records", path=(index,))
    return records


def _records_of(entry: Any) -> Iterator[RuntimeRecord]:
    if not isinstance(entry, dict):
        raise InvalidRecord("expected a mapping with game_id and engine_endpoint, or with targets")
    if "targets" in entry:
        yield from _records_of_group(entry)
        return
    record = record_from_document(entry)
    try:
        parse_settings(record.probe)
    except InvalidSettings as invalid:
        raise InvalidRecord(str(invalid), "probe") from invalid
    try:
        parse_silenced_until(entry.get("silenced_until"))
    except ValueError as error:
        raise InvalidRecord(str(error), "silenced_until") from error
    yield record


def _records_of_group(group: dict[str, Any]) -> Iterator[RuntimeRecord]:
    check_keys(group, _GROUP_FIELDS)
    targets, labels = group["targets"], group.get("labels") or {}
    if not isinstance(targets, list):
        raise InvalidRecord(f"expected a list, and this is {kind_of(targets)}", "targets")
    if not isinstance(labels, dict):
        raise InvalidRecord(f"expected a mapping, and this is {kind_of(labels)}", "labels")
    try:
        has_game_id = labels.get("game_id") is not None
        game_id = identifier_in(labels, "game_id") if has_game_id else None
        container_id = identifier_in({"container_id": ""} | labels, "container_id", may_be_empty=True)
        scheme = text_in(labels, "__scheme__", "http")
        probe = _probe_in(labels)
    except InvalidRecord as error:
        raise InvalidRecord(str(error), "labels", *error.path) from error
    if has_game_id and len(targets) > 1:
        message = f"one game has one target, and this group has {len(targets)}; give each a group of its own"
        raise InvalidRecord(message, "labels", "game_id")
    own = {name: value for name, value in labels.items() if not _is_internal(name) and name not in _NAMES_OF_GAME}
    checked = parse_labels(own)
    for number, target in enumerate(targets):
        try:
            host_and_port = identifier_in({"target": target}, "target")
        except InvalidRecord as error:
            raise InvalidRecord(str(error), "targets", number) from error
        if "/" in host_and_port or "@" in host_and_port:
            raise InvalidRecord("expected HOST:PORT, without a scheme or a path", "targets", number)
        endpoint = f"{scheme}://{host_and_port}"
        yield RuntimeRecord(game_id or host_and_port, container_id, endpoint, probe=probe, labels=checked)


def _probe_in(labels: dict[str, object]) -> str:
    """Returns the probe settings that the labels of a group ask for. Raises InvalidRecord."""
    if labels.get("__metrics_path__") is None:
        return ""
    probe = probe_settings_text({"path": text_in(labels, "__metrics_path__")})
    try:
        parse_settings(probe)
    except InvalidSettings as invalid:
        raise InvalidRecord(str(invalid).removeprefix("path: "), "__metrics_path__") from invalid
    return probe


def _is_internal(name: object) -> bool:
    return isinstance(name, str) and name.startswith("__")


def _message(malformed: Malformed, text: str, name: str) -> str:
    """Returns one line in the form `engines.yaml:7: game_id: …`."""
    line = malformed.line or line_of(text, malformed.path)
    field = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in malformed.path[1:]).lstrip(".")
    return ": ".join(part for part in (f"{name}:{line}", field, str(malformed)) if part)
