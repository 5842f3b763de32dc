"""The runtime record: what the platform says about one game."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

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
