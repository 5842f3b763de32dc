"""Writes a health event as a CloudEvent 1.0 in structured JSON."""

from __future__ import annotations

import msgspec

from healthprobe.domain.event import HealthEvent, format_instant

CONTENT_TYPE = "application/cloudevents+json; charset=utf-8"


def cloud_event(event: HealthEvent, source: str) -> bytes:
    """Returns the event in its envelope. `source`, a URI reference, and the id identify it among those of all logs.

    Raises UnicodeEncodeError for an event that cannot be written as text.
    """
    return msgspec.json.encode(
        {
            "specversion": "1.0",
            "id": event.id,
            "source": source,
            "type": f"healthprobe.{event.event_type.value}",
            "subject": event.game_id,
            "time": format_instant(event.occurred_at),
            "datacontenttype": "application/json",
            "data": event.as_document(),
        }
    )
