"""The transition: what hysteresis decided about a game, before the log has it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from healthprobe.domain.event import Details, HealthEvent


@dataclass(frozen=True, slots=True)
class Transition:
    """A decision and when it was seen. `follows` is the sequence of the game's last event when it was decided, or 0.

    What was decided on a state that the log has left meanwhile is not written: another instance saw it too.
    """

    game_id: str
    container_id: str
    occurred_at: datetime
    details: Details
    follows: int

    @property
    def event(self) -> HealthEvent:
        """The event that it becomes, if nothing comes between."""
        return HealthEvent(self.follows + 1, self.game_id, self.container_id, self.occurred_at, self.details)
