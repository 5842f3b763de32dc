"""The runtime record: a game as its platform describes it."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from datetime import MAXYEAR, UTC, datetime

from healthprobe.domain.labels import NO_LABELS, no_labels, parse_labels

RUNNING = "running"
"""The status of records that are probed."""


@dataclass(frozen=True, slots=True)
class RuntimeRecord:
    """One game.

    `game_id` is the key and never empty. `current_container_id` names the container of the game's engine and is empty
    if the platform has none. `engine_endpoint` is kept as written and parsed later (`domain.endpoint`), so that one bad
    row never hides the others. So is `probe`, the JSON text of the game's own settings (`domain.probe_settings`), or
    empty. Until `silenced_until`, a wall time in UTC, the game is probed and shown, but raises no alarm;
    `silenced_why` is a note. `labels` are checked when the record is made (`parse_labels`): those that may not be
    are left out.
    """

    game_id: str
    current_container_id: str
    engine_endpoint: str
    status: str = RUNNING
    probe: str = ""
    silenced_until: datetime | None = None
    silenced_why: str = ""
    labels: Mapping[str, str] = field(default_factory=no_labels, hash=False)

    def __post_init__(self) -> None:
        if self.labels is not NO_LABELS:
            object.__setattr__(self, "labels", parse_labels(self.labels))


RECORD_FIELDS = tuple(each.name for each in fields(RuntimeRecord))
"""The keys that a record's JSON form may have."""

_KINDS = {
    str: "text",
    bool: "a truth value; quote it",
    int: "a number; quote it",
    float: "a number; quote it",
    list: "a list",
    dict: "a mapping",
    type(None): "nothing",
}


class InvalidRecord(ValueError):
    """A document is not a runtime record: the message says what is wrong with the value at `path`."""

    def __init__(self, message: str, *path: int | str) -> None:
        super().__init__(message)
        self.path = path


def record_from_document(document: dict[str, object], *, game_id: str | None = None) -> RuntimeRecord:
    """Returns the record whose JSON form is `document`; `game_id` is the id of one that has none.

    A record stays valid if its settings, its silence or its labels cannot be read (see `probe_settings_text`,
    `silenced_until_or_none` and `parse_labels`). Raises InvalidRecord.

    >>> record_from_document({"game_id": "game-7", "engine_endpoint": "http://h:1", "current_container_id": None})
    RuntimeRecord(game_id='game-7', current_container_id='', engine_endpoint='http://h:1', status='running', probe='', \
silenced_until=None, silenced_why='', labels={})
    """
    check_keys(document, RECORD_FIELDS)
    if game_id is not None and document.get("game_id") in (None, game_id):
        document = {**document, "game_id": game_id}  # the same text is not kept twice
    has_container = document.get("current_container_id") is not None
    status = text_in(document, "status", RUNNING)
    return RuntimeRecord(
        identifier_in(document, "game_id"),
        identifier_in(document, "current_container_id", may_be_empty=True) if has_container else "",
        text_in(document, "engine_endpoint"),
        RUNNING if status == RUNNING else status,  # one object for all of them
        probe_settings_text(document.get("probe")),
        silenced_until_or_none(document.get("silenced_until")),
        text_in(document, "silenced_why", ""),
        parse_labels(document.get("labels")),
    )


def check_keys(document: dict[str, object], known: Collection[str]) -> None:
    """Raises InvalidRecord where `document` has a key that is not `known`."""
    for key in document:
        if key not in known:
            raise InvalidRecord(f"there is no such field; there are {', '.join(known)}", key)


def text_in(document: Mapping[str, object], key: str, default: str | None = None) -> str:
    """Returns the text under `key`, or `default` where there is no such key. Raises InvalidRecord."""
    value = document.get(key, default)
    if isinstance(value, str):
        return value
    if key not in document:
        raise InvalidRecord(f"the field {key} is missing")
    raise InvalidRecord(f"expected text, and this is {kind_of(value)}", key)


def identifier_in(document: Mapping[str, object], key: str, *, may_be_empty: bool = False) -> str:
    """Returns the text under `key`, as an event can have it: without NUL characters. Raises InvalidRecord."""
    text = text_in(document, key)
    if not text and not may_be_empty:
        raise InvalidRecord("it is empty", key)
    if "\0" in text:
        raise InvalidRecord("it contains a NUL character", key)
    return text


def kind_of(value: object) -> str:
    """Returns what `value` is, in a user's words."""
    return _KINDS.get(type(value), "something else")


UNTIL_ENDED = datetime(9999, 12, 31, tzinfo=UTC)
"""When a silence ends that has no end: in every time zone a day of the calendar."""

_BEYOND_THE_CALENDAR = re.compile(r"\+?(infinity|\d{5,}-\d\d-\d\d.*)", re.IGNORECASE | re.DOTALL)
_BEFORE_THE_CALENDAR = re.compile(r"-infinity|\d+-\d\d-\d\d.* BC", re.IGNORECASE | re.DOTALL)
"""How PostgreSQL writes instants that Python's calendar lacks."""


def parse_silenced_until(value: object) -> datetime | None:
    """Returns until when a game is silenced, in UTC, or None if it is not. An instant without a zone is in UTC.

    `infinity`, and every instant after the year 9999, is UNTIL_ENDED; one before the year 1 is None. Raises ValueError
    for anything else than an instant.

    >>> parse_silenced_until("2026-11-25 14:00:00+01:00")
    datetime.datetime(2026, 11, 25, 13, 0, tzinfo=datetime.timezone.utc)
    """
    if value is None or value == "":
        return None
    instant = value if isinstance(value, datetime) else None
    if isinstance(value, str):
        text = value.strip()
        if _BEYOND_THE_CALENDAR.fullmatch(text):
            return UNTIL_ENDED
        if _BEFORE_THE_CALENDAR.fullmatch(text):
            return None
        try:
            instant = datetime.fromisoformat(text)
        except ValueError:
            instant = None
    if instant is None:
        raise ValueError("it is not an instant: write one such as 2026-11-25T14:00:00Z")
    try:
        until = instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
    except (OverflowError, ValueError):  # its offset leads out of the calendar
        if instant.year == MAXYEAR:
            return UNTIL_ENDED
        raise ValueError("it is out of the calendar's range: write one such as 2026-11-25T14:00:00Z") from None
    return min(until, UNTIL_ENDED)


def end_of_silence(until: datetime, form: str) -> str:
    """Returns when a silence ends, in words, for a person.

    >>> end_of_silence(datetime(2026, 11, 25, 14, tzinfo=UTC), "%H:%M"), end_of_silence(UNTIL_ENDED, "%H:%M")
    ('14:00 UTC', 'it is ended')
    """
    return "it is ended" if until == UNTIL_ENDED else f"{until:{form}} UTC"


def silenced_until_or_none(value: object) -> datetime | None:
    """Returns `parse_silenced_until`, or None for anything else than an instant: a typo must not silence a game."""
    try:
        return parse_silenced_until(value)
    except ValueError:
        return None


def probe_settings_text(value: object) -> str:
    """Returns probe settings, given as text or as a mapping, as the text that a record keeps.

    Invalid settings are accepted here: they make the probes of their own game fail, and hide no other.

    >>> probe_settings_text({"path": "/ready"}), probe_settings_text(None), probe_settings_text(b"x")
    ('{"path": "/ready"}', '', '"not text"')
    """
    if value is None:
        return ""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bytes | bytearray | memoryview):
        return '"not text"'
    try:
        return json.dumps(value, default=str)
    except (TypeError, ValueError, RecursionError):
        return '"not JSON"'
