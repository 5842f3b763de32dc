"""Server-sent events, as in https://html.spec.whatwg.org/multipage/server-sent-events.html."""

from __future__ import annotations

from collections.abc import AsyncIterator

from starlette.responses import StreamingResponse

KEEP_ALIVE_INTERVAL = 15.0
"""After so many seconds of silence a comment is sent: a proxy closes a connection that it takes for dead."""

KEEP_ALIVE = b": keep-alive\n\n"


def server_sent_event(data: bytes, event: str, event_id: int | None = None) -> bytes:
    """Returns one event. `data` is one line; a browser that reconnects sends `event_id` back as Last-Event-ID."""
    id_line = b"" if event_id is None else b"id: %d\n" % event_id
    return b"%sevent: %s\ndata: %s\n\n" % (id_line, event.encode(), data)


def event_stream_response(events: AsyncIterator[bytes]) -> StreamingResponse:
    return StreamingResponse(
        events,
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no", "Content-Encoding": "identity"},
    )
