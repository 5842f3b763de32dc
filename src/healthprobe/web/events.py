"""`GET /api/events` and `GET /api/events/stream`: pages of the log, and the log as it grows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from healthprobe.domain.event import AlteredEvent
from healthprobe.domain.labels import Selector, selects
from healthprobe.ports import HealthEventLog, LogError
from healthprobe.web.event_stream import KEEP_ALIVE, KEEP_ALIVE_INTERVAL, event_stream_response, server_sent_event
from healthprobe.web.responses import (
    DEFAULT_LIMIT,
    MAX_LIMIT,
    BadRequest,
    encode,
    error_response,
    int_parameter,
    json_response,
    labels_parameter,
    status_of,
)
from healthprobe.web.schemas import Event, Events

_MAX_CURSOR = 2**63 - 1
_POLL_INTERVAL = 1.0


async def get_events(request: Request) -> Response:
    """Returns the events among `limit` after the cursor `after` whose games had the labels; without it, the last."""
    log = status_of(request).log
    limit = int_parameter(request, "limit", DEFAULT_LIMIT, minimum=1, maximum=MAX_LIMIT)
    after = int_parameter(request, "after", -1, maximum=_MAX_CURSOR)
    labels = labels_parameter(request)
    try:
        if after < 0:
            after = max(await log.end() - limit, 0)
        entries = await log.read(after, limit)
    except LogError as error:
        return error_response(503, f"the log is unavailable: {error}")
    readable = [entry for entry in entries if not isinstance(entry.event, AlteredEvent)]
    events = [Event(each.cursor, each.event.as_document()) for each in readable if selects(labels, each.event.labels)]
    return json_response(Events(entries[-1].cursor if entries else after, events))


async def stream_events(request: Request) -> StreamingResponse:
    """Streams each event as it enters the log, after `after` or Last-Event-ID; without either, from now on."""
    last_event_id = request.headers.get("last-event-id", "")
    after = int_parameter(request, "after", -1, maximum=_MAX_CURSOR)
    if last_event_id:
        if not (last_event_id.isascii() and last_event_id.isdecimal()) or len(last_event_id) > 18:
            raise BadRequest("Last-Event-ID must be a cursor of this log")
        after = int(last_event_id)
    return event_stream_response(_follow(status_of(request).log, after, labels_parameter(request)))


async def _follow(log: HealthEventLog, after: int, labels: Selector) -> AsyncIterator[bytes]:
    silent_for = 0.0
    while True:
        try:
            if after < 0:
                after = await log.end()
            entries = await log.read(after, MAX_LIMIT)
        except LogError:
            entries = []
        for entry in entries:
            after, silent_for = entry.cursor, 0.0
            if isinstance(entry.event, AlteredEvent) or not selects(labels, entry.event.labels):
                continue
            yield server_sent_event(encode(entry.event.as_document()), entry.event.event_type.value, entry.cursor)
        if not entries:
            await asyncio.sleep(_POLL_INTERVAL)
            silent_for += _POLL_INTERVAL
            if silent_for >= KEEP_ALIVE_INTERVAL:
                silent_for = 0.0
                yield KEEP_ALIVE
