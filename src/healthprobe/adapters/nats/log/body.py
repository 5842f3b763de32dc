"""The body: a health event as it stands in a message, in exactly the form that the world reads."""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Any

import msgspec

from healthprobe.domain.event import HealthEvent, details_from_document, format_instant, parse_instant
from healthprobe.ports import LogError

_PLAIN = re.compile(r"[!-~]{1,128}")


class EventDocument(msgspec.Struct, frozen=True):
    """The fields of an event that say something; its id is made of two of them."""

    sequence: int
    game_id: str
    container_id: str
    event_type: str
    occurred_at: str
    details: dict[str, Any]

    def event(self) -> HealthEvent:
        """The event. Raises ValueError, KeyError or TypeError where somebody altered it."""
        details = details_from_document(self.event_type, self.details)
        return HealthEvent(self.sequence, self.game_id, self.container_id, parse_instant(self.occurred_at), details)


_to_document = msgspec.json.Decoder(EventDocument)


def body_of(event: HealthEvent) -> bytes:
    """The event as JSON. Raises UnicodeEncodeError where a text in it is none: it has a lone surrogate."""
    return msgspec.json.encode(event.as_document())


def event_in(body: bytes, subject: str) -> HealthEvent:
    """The event that `body_of` wrote. Raises LogError where somebody altered it."""
    try:
        return _to_document.decode(body).event()
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        told = f"an event on {subject} was altered, or written by somebody else, and cannot be read"
        raise LogError(told, permanent=True) from error


def message_id(event: HealthEvent) -> str:
    """The same whenever this event is sent, another for any other, and short and plain enough for a header."""
    identity = f"{event.id}@{format_instant(event.occurred_at)}"
    return identity if _PLAIN.fullmatch(identity) else sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()
