"""A health event as an entry of a stream: one field for each key of its JSON form."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from healthprobe.domain.event import HealthEvent


@dataclass(frozen=True, slots=True)
class Entry:
    """The fields of one entry, in order. All values are text; `details` and `labels` are JSON.

    `labels` come last, because not every event has them.

    `key` is the same at each delivery of the event, and different for any other event: another log, or a new one that
    counts from 1 again, gives the same ids to other events.
    """

    key: str
    game_id: str
    names: tuple[str, ...]
    values: tuple[bytes, ...]

    @classmethod
    def of(cls, event: HealthEvent, source: str) -> Entry:
        """Returns the entry of `event`, from the log that `source` names.

        Raises UnicodeEncodeError for a text with a lone surrogate.
        """
        document = event.as_document()
        labels = document.pop("labels", None)
        document["details"] = _json(document["details"])
        document["source"] = source
        if labels is not None:
            document["labels"] = _json(labels)
        values = tuple(str(value).encode() for value in document.values())
        return cls(f"{event.id}@{document['occurred_at']}@{source}", event.game_id, tuple(document), values)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
