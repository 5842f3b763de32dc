"""The runtime record: a game as its platform describes it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime

RUNNING = "running"
"""The status of records that are probed."""


@dataclass(frozen=True, slots=True)
class RuntimeRecord:
    """One game.

    `game_id` is the key and never empty. `current_container_id` names the container of the game's engine and is empty
    if the platform has none. `engine_endpoint` is kept as written and parsed later (`domain.endpoint`), so that one bad
    row never hides the others. So is `probe`, the JSON text of the game's own settings (`domain.probe_settings`), or
    empty. Until `silenced_until`, a wall time in UTC, the game is probed and shown, but raises no alarm;
    `silenced_why` is a note.
    """

    game_id: str
    current_container_id: str
    engine_endpoint: str
    status: str = RUNNING
    probe: str = ""
    silenced_until: datetime | None = None
    silenced_why: str = ""


def parse_silenced_until(value: object) -> datetime | None:
    """Returns until when a game is silenced, in UTC, or None if it is not. An instant without a zone is in UTC.

    Raises ValueError for anything else than an instant.

    >>> parse_silenced_until("2026-11-25 14:00:00+01:00")
    datetime.datetime(2026, 11, 25, 13, 0, tzinfo=datetime.timezone.utc)
    """
    if value is None or value == "":
        return None
    instant = value if isinstance(value, datetime) else None
    if isinstance(value, str):
        try:
            instant = datetime.fromisoformat(value.strip())
        except ValueError:
            instant = None
    if instant is None:
        raise ValueError("it is not an instant: write one such as 2026-11-25T14:00:00Z")
    try:
        return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
    except (OverflowError, ValueError):
        raise ValueError("it is out of the calendar's range: write one such as 2026-11-25T14:00:00Z") from None


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
