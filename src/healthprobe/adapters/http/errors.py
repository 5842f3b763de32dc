"""What the responses of a webhook mean, and whether a retry can help."""

from __future__ import annotations

from healthprobe.domain.endpoint import masked
from healthprobe.http_client.errors import REDIRECTS, first_line, pause_asked_for
from healthprobe.ports import PublishError

_CONCERNS_THE_EVENT = frozenset({400, 410, 413, 415, 422})


def concerns_the_event(status: int) -> bool:
    """Returns whether a webhook refuses this event for good: by its content, or because it wants no more (410).

    All else may be the webhook's trouble or its configuration: a token that has expired (401, 403), a deployment in
    which its path is missing (404). Every event after this one would be refused as well, so none is.
    """
    return status in _CONCERNS_THE_EVENT


def rejection(status: int, beginning: bytes, *, delivered: int, retry_after: str, location: str) -> PublishError:
    """Returns the error for a response with this status and beginning of a body; headers are empty if missing.

    Permanent is what `concerns_the_event`. Otherwise all events of the log would become dead letters.
    """
    message = f"webhook answered {status}"
    if status in REDIRECTS:
        target = first_line(masked(location.partition("?")[0]).encode(errors="replace"))
        message += f": it has moved{f' to {target}' * bool(target)}; redirects are not followed, so give the new URL"
    elif line := first_line(beginning):
        message += f": {line}"
    if concerns_the_event(status):
        return PublishError(message, permanent=True, delivered=delivered)
    return PublishError(message, delivered=delivered, retry_after=pause_asked_for(retry_after), code=str(status))
