"""The runtime record: what the platform says about one game."""

from __future__ import annotations

from dataclasses import dataclass

RUNNING = "running"
"""The one status whose records are probed."""


@dataclass(frozen=True, slots=True)
class RuntimeRecord:
    """One game as its platform describes it.

    `game_id` is the key and is never empty. `current_container_id` tells one start of the game from the next and may be
    empty where a platform has no containers. `engine_endpoint` is kept as it was written: whether it can be probed is
    the endpoint's matter (`domain.endpoint`), so that one bad row never hides the others.
    """

    game_id: str
    current_container_id: str
    engine_endpoint: str
    status: str = RUNNING
