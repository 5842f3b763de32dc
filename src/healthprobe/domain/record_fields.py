"""The fields of a record that other programs write as they like: taken as they are meant, or not at all."""

from __future__ import annotations

import json
from datetime import UTC, datetime


def silence_of(value: object) -> datetime | None:
    """Until when a game is silenced, in UTC; None where it is not. One without a zone is in UTC.

    Raises ValueError for what is no instant. Who asks decides whether that is no silence, or a mistake to be told.

    >>> silence_of("2026-11-25 14:00:00+01:00")
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
        raise ValueError("it is an instant beyond all calendars: write one such as 2026-11-25T14:00:00Z") from None


def silence_or_none(value: object) -> datetime | None:
    """As `silence_of`, and what is no instant is no silence: a game must not stay unwatched for a slip of the pen."""
    try:
        return silence_of(value)
    except ValueError:
        return None


def probe_text(value: object) -> str:
    """Probe settings as the text that a record keeps, whether they came as text or as a mapping that was read already.

    Whether they can be followed is not asked here: a game whose settings cannot be is its own failure.

    >>> probe_text({"path": "/ready"}), probe_text(None), probe_text(b"x")
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
