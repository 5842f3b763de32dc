"""The refusal: what an answer other than 2xx means for the event that was sent."""

from __future__ import annotations

import re
import time
from datetime import UTC
from email.utils import parsedate_to_datetime

from healthprobe._util.text import printable, shorten
from healthprobe.domain.endpoint import masked
from healthprobe.ports import PublishError

LONGEST_PAUSE = 3600.0
"""The most seconds that a webhook may make us wait: a slip of its clock must not silence us for a day."""

_LONGEST_LINE = 200
_RETRIED = frozenset({408, 425, 429})
_CLIENT_ERRORS = range(400, 500)
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


def refusal(status: int, beginning: bytes, *, delivered: int, retry_after: str, location: str) -> PublishError:
    """The error for an answer with this status, beginning of a body, and headers (empty where there are none).

    Permanent for 4xx but 408, 425 and 429: the event itself was judged. A redirect says nothing of the event, only that
    the URL is another now: parking events for it would empty the log into the dead letters.
    """
    told = f"webhook answered {status}"
    if status in _REDIRECTS:
        place = first_line(masked(location.partition("?")[0]).encode(errors="replace"))
        told += f": it has moved{f' to {place}' * bool(place)}; redirects are not followed, so give the new URL"
    elif line := first_line(beginning):
        told += f": {line}"
    if status in _CLIENT_ERRORS and status not in _RETRIED:
        return PublishError(told, permanent=True, delivered=delivered)
    return PublishError(told, delivered=delivered, retry_after=pause_asked_for(retry_after))


def pause_asked_for(header: str) -> float | None:
    """The seconds that a Retry-After header asks for, from 0 for what is past to one hour; None for nonsense."""
    header = header.strip()
    try:
        if re.fullmatch(r"-?[0-9]+", header):
            seconds = float(header)
        else:
            instant = parsedate_to_datetime(header)
            seconds = (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp() - time.time()
    except (ValueError, OverflowError):
        return None
    return min(max(seconds, 0.0), LONGEST_PAUSE)


def first_line(text: bytes) -> str:
    """The first line that is not blank, without control characters, at most 200 characters."""
    for line in text.decode(errors="replace").splitlines():
        if cleaned := " ".join(printable(line, " ").split()):
            return shorten(cleaned, _LONGEST_LINE)
    return ""
