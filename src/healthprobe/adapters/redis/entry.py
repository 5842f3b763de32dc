"""The entry: a health event as it stands in a stream, one field for each of its keys."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from healthprobe.domain.event import HealthEvent


@dataclass(frozen=True, slots=True)
class Entry:
    """The document's keys and its values, in its order. All values are text, `details` is JSON.

    `identity` is the same whenever this event is delivered, and another for any other event: a log that was begun anew
    counts from 1 again, and gives the ids of the old one to what it sees.
    """

    identity: str
    game_id: str
    names: tuple[str, ...]
    values: tuple[bytes, ...]

    @classmethod
    def of(cls, event: HealthEvent) -> Entry:
        """The entry of `event`. Raises UnicodeEncodeError where a text in it is none: it has a lone surrogate."""
        document = event.as_document()
        document["details"] = msgspec.json.encode(document["details"]).decode()
        values = tuple(str(value).encode() for value in document.values())
        identity = f"{event.id}@{document['occurred_at']}"
        return cls(identity, event.game_id, tuple(document), values)
