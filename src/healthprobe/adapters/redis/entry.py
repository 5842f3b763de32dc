"""A health event as an entry of a stream: one field for each key of its JSON form."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from healthprobe.domain.event import HealthEvent


@dataclass(frozen=True, slots=True)
class Entry:
    """The fields of one entry, in order. All values are text; `details` is JSON.

    `key` is the same at each delivery of the event, and different for any other event: a new log counts from 1 again,
    and gives the ids of the old one to other events.
    """

    key: str
    game_id: str
    names: tuple[str, ...]
    values: tuple[bytes, ...]

    @classmethod
    def of(cls, event: HealthEvent) -> Entry:
        """Returns the entry of `event`. Raises UnicodeEncodeError for a text with a lone surrogate."""
        document = event.as_document()
        document["details"] = msgspec.json.encode(document["details"]).decode()
        values = tuple(str(value).encode() for value in document.values())
        return cls(f"{event.id}@{document['occurred_at']}", event.game_id, tuple(document), values)
