"""The CloudEvent: a health event in the envelope of CloudEvents 1.0, structured JSON."""

from __future__ import annotations

import msgspec

from healthprobe.domain.event import HealthEvent, format_instant

CONTENT_TYPE = "application/cloudevents+json; charset=utf-8"

SOURCE = "/healthprobe"
"""A URI reference. One log holds an id once, so that source and id name one event among all that come from it."""


def cloud_event(event: HealthEvent) -> bytes:
    """The event in its envelope. Raises UnicodeEncodeError for an event that cannot be written as text."""
    return msgspec.json.encode(
        {
            "specversion": "1.0",
            "id": event.id,
            "source": SOURCE,
            "type": f"healthprobe.{event.event_type.value}",
            "subject": event.game_id,
            "time": format_instant(event.occurred_at),
            "datacontenttype": "application/json",
            "data": event.as_document(),
        }
    )
