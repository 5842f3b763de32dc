"""`GET /api/cells` and `GET /api/cells/stream`: all games at once for the page's grid, and what changes in them."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Mapping

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from healthprobe._util.aio import cooperative_iter
from healthprobe.domain.labels import NO_LABELS
from healthprobe.status import cells as status_cells
from healthprobe.status.run_status import RunStatus
from healthprobe.web.event_stream import event_stream_response, server_sent_event
from healthprobe.web.fleet import fleet_document
from healthprobe.web.incidents import incidents_document
from healthprobe.web.responses import encode, int_parameter, status_of
from healthprobe.web.schemas import Cells, CellsDelta

INCIDENTS_SHOWN = 100
"""How many incidents the page gets."""

_MAX_VERSION = 2**53
_DIGITS = bytes(ord("0") + number % 10 for number in range(256))
_PORTION = 5_000
"""How many games are listed between two turns of the loop: a fraction of a millisecond."""

_FASTEST = 1
_GZIP = 31


async def get_cells(request: Request) -> Response:
    """Returns all cells. They are compressed on a thread, as there may be a hundred thousand."""
    status = status_of(request)
    await status.refresh()
    document = await _document(status.cells)
    body = await asyncio.to_thread(_compressed, document)
    headers = {"Cache-Control": "no-store", "Content-Encoding": "gzip"}
    return Response(body, media_type="application/json", headers=headers)


async def stream_cells(request: Request) -> StreamingResponse:
    """Streams what changes after the version `after`: `cells` for each change, `fleet` once a second, `incidents`.

    Ends with `reload` when the changes after that version are no longer kept: the cells must then be read again.
    """
    return event_stream_response(_follow(status_of(request), int_parameter(request, "after", 0, maximum=_MAX_VERSION)))


async def _follow(status: RunStatus, after: int) -> AsyncIterator[bytes]:
    incidents = status.incidents
    sent: tuple[object, ...] | None = None
    async for delta in status.deltas(after):
        if delta is not None:
            labels = [(slot, dict(each)) for slot, each in delta.labels.items()]
            document = CellsDelta(delta.version, delta.added, delta.removed, list(delta.changed.items()), labels)
            yield server_sent_event(encode(document), "cells")
        yield server_sent_event(encode(fleet_document(status)), "fleet")
        shown = (incidents.cursor, len(incidents.open), status.silences, status.silenced)
        if sent != shown:
            sent = shown
            yield server_sent_event(encode(incidents_document(status, INCIDENTS_SHOWN)), "incidents")
    yield server_sent_event(b"{}", "reload")


async def _document(cells: status_cells.Cells) -> Cells:
    """Makes the document of one moment: everything is copied first, as building it takes several turns of the loop."""
    version, conditions, games, hosts = cells.version, bytes(cells.conditions), [*cells.games], [*cells.hosts]
    sets: dict[int, Mapping[str, str]] = {id(NO_LABELS): NO_LABELS}
    labels = [*cells.labels]
    host_names = sorted(cells.on_host)
    numbers = {name: number for number, name in enumerate(host_names)}
    async for each in cooperative_iter(labels, _PORTION):
        sets.setdefault(id(each), each)
    set_numbers = {of_set: number for number, of_set in enumerate(sets)}
    return Cells(
        version=version,
        state_names=[condition.value for condition in status_cells.CONDITIONS],
        states=conditions.translate(_DIGITS).decode("ascii"),
        ids=[None if game is None else game.game_id async for game in cooperative_iter(games, _PORTION)],
        host_names=host_names,
        hosts=[numbers.get(host, -1) async for host in cooperative_iter(hosts, _PORTION)],
        label_sets=[dict(each) for each in sets.values()],
        labels=[] if len(sets) == 1 else [set_numbers[id(each)] async for each in cooperative_iter(labels, _PORTION)],
    )


def _compressed(document: Cells) -> bytes:
    compressor = zlib.compressobj(_FASTEST, wbits=_GZIP)
    return compressor.compress(encode(document)) + compressor.flush()
