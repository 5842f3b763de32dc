"""The transition: what hysteresis decided about a game, before the log has it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from healthprobe.domain.event import Details, HealthEvent, ProbeFailedDetails


@dataclass(frozen=True, slots=True)
class Transition:
    """A decision and when it was seen. It has no sequence yet: only the log knows which comes next."""

    game_id: str
    container_id: str
    occurred_at: datetime
    details: Details

    def following(self, last_event: HealthEvent | None) -> HealthEvent | None:
        """The event that this transition becomes after the game's `last_event` in the log.

        None where it does not follow, since a game's events strictly alternate failed, recovered, failed, …: what
        stands in the log then is the game's state, and this transition is not written.
        """
        in_incident = last_event is not None and isinstance(last_event.details, ProbeFailedDetails)
        if in_incident == isinstance(self.details, ProbeFailedDetails):
            return None
        sequence = 1 if last_event is None else last_event.sequence + 1
        return HealthEvent(sequence, self.game_id, self.container_id, self.occurred_at, self.details)

    def stands_as(self, event: HealthEvent | None) -> bool:
        """Whether `event` is this very transition: written before, its acknowledgement lost."""
        return event is not None and event == HealthEvent(
            event.sequence, self.game_id, self.container_id, self.occurred_at, self.details
        )
