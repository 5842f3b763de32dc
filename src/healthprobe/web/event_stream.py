"""The stream: server-sent events, as https://html.spec.whatwg.org/multipage/server-sent-events.html has them."""

from __future__ import annotations

from collections.abc import AsyncIterator

from starlette.responses import StreamingResponse

SECONDS_BETWEEN_SIGNS = 15.0
"""How long a stream is silent at most: what is between may close what it takes for dead."""

KEEP_ALIVE = b": still here\n\n"


def sent(data: bytes, event: str, number: int | None = None) -> bytes:
    """One event; `number` is where a browser goes on after it has lost us. `data` is one line."""
    identity = b"" if number is None else b"id: %d\n" % number
    return b"%sevent: %s\ndata: %s\n\n" % (identity, event.encode(), data)


def streaming(events: AsyncIterator[bytes]) -> StreamingResponse:
    return StreamingResponse(
        events,
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no", "Content-Encoding": "identity"},
    )
