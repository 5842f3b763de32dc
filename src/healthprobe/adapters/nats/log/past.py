"""The past: a game's earlier events. They are found by bisection, since their sequences grow with their places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from healthprobe.adapters.nats.log.body import event_in
from healthprobe.adapters.nats.log.leader import Leader
from healthprobe.domain.event import HealthEvent


@dataclass(slots=True)
class _Search:
    """The event stands between these two places, both included, if it stands at all."""

    subject: str
    sequence: int
    lowest: int
    highest: int

    @property
    def middle(self) -> int:
        return (self.lowest + self.highest) // 2


async def sought_in_the_past(leader: Leader, sought: Sequence[tuple[int, str, int]]) -> list[HealthEvent]:
    """Those events that stand, of each (place of the game's last event, subject, sequence), which is an earlier one.

    Raises Unanswered, Refused or LogError.
    """
    found: list[HealthEvent] = []
    searches = [_Search(subject, sequence, 1, last - 1) for last, subject, sequence in sought]
    while searches := [search for search in searches if search.lowest <= search.highest]:
        messages = await leader.following([(search.middle, search.subject) for search in searches])
        for search, message in zip(searches, messages, strict=True):
            event = None if message is None else event_in(message.data, message.subject)
            if message is None or event is None or event.sequence > search.sequence:
                search.highest = search.middle - 1
            elif event.sequence < search.sequence:
                search.lowest = message.seq + 1
            else:
                found.append(event)
                search.lowest = search.highest + 1
    return found
