"""The events: a page of the log, and the log as it grows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from healthprobe.ports import LogEntry, LogError
from healthprobe.status.run_status import RunStatus
from healthprobe.web.event_stream import KEEP_ALIVE, SECONDS_BETWEEN_SIGNS, sent, streaming
from healthprobe.web.responses import MOST_PER_PAGE, PER_PAGE, Misasked, answer, number_in, refusal
from healthprobe.web.schemas import Event, Events

_LAST_CURSOR = 2**63 - 1
_POLL = 1.0


class EventAnswers:
    """`GET /api/events` and `GET /api/events/stream`."""

    def __init__(self, sight: RunStatus) -> None:
        self._sight = sight

    async def events(self, request: Request) -> Response:
        """At most `limit` events behind the cursor `after`; without it, the last ones."""
        limit = number_in(request, "limit", PER_PAGE, least=1, most=MOST_PER_PAGE)
        after = number_in(request, "after", -1, most=_LAST_CURSOR)
        try:
            if after < 0:
                after = max(await self._sight.log.end() - limit, 0)
            entries = await self._sight.log.read(after, limit)
        except LogError as error:
            return refusal(503, f"the log does not answer: {error}")
        return answer(Events(entries[-1].cursor if entries else after, [_event(entry) for entry in entries]))

    async def stream(self, request: Request) -> StreamingResponse:
        """Each event as it enters the log, after `after` or Last-Event-ID; without either, from now on."""
        text = request.headers.get("last-event-id", "")
        after = number_in(request, "after", -1, most=_LAST_CURSOR)
        if text:
            if not (text.isascii() and text.isdecimal()) or len(text) > 18:
                raise Misasked("Last-Event-ID is a cursor of this log")
            after = int(text)
        return streaming(self._follow(after))

    async def _follow(self, after: int) -> AsyncIterator[bytes]:
        quiet = 0.0
        while True:
            try:
                if after < 0:
                    after = await self._sight.log.end()
                entries = await self._sight.log.read(after, MOST_PER_PAGE)
            except LogError:
                entries = []
            for entry in entries:
                after, quiet = entry.cursor, 0.0
                yield sent(msgspec.json.encode(entry.event.as_document()), entry.event.event_type.value, after)
            if not entries:
                await asyncio.sleep(_POLL)
                quiet += _POLL
                if quiet >= SECONDS_BETWEEN_SIGNS:
                    quiet = 0.0
                    yield KEEP_ALIVE


def _event(entry: LogEntry) -> Event:
    return Event(entry.cursor, entry.event.as_document())
