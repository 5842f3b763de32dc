"""The runtime record: what the platform says about one game."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime

RUNNING = "running"
"""The one status whose records are probed."""


@dataclass(frozen=True, slots=True)
class RuntimeRecord:
    """One game as its platform describes it.

    `game_id` is the key and is never empty. `current_container_id` tells one start of the game from the next and may be
    empty where a platform has no containers. `engine_endpoint` is kept as it was written: whether it can be probed is
    the endpoint's matter (`domain.endpoint`), so that one bad row never hides the others. So is `probe`, the JSON text
    of the game's own settings (`domain.probe_settings`), or empty. Until `silenced_until`, wall time in UTC, the game
    is probed and shown, and nothing of it is told; `silenced_why` is for people.
    """

    game_id: str
    current_container_id: str
    engine_endpoint: str
    status: str = RUNNING
    probe: str = ""
    silenced_until: datetime | None = None
    silenced_why: str = ""


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
