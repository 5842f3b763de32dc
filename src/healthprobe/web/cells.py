"""The cells: all games at once for the grid of the page, and what changes in them."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from healthprobe._util.aio import cooperative_iter
from healthprobe.status.cells import CONDITIONS, Delta
from healthprobe.status.run_status import RunStatus
from healthprobe.web.event_stream import sent, streaming
from healthprobe.web.fleet import fleet_document
from healthprobe.web.incidents import incidents_document
from healthprobe.web.responses import number_in
from healthprobe.web.schemas import Cells, CellsDelta

INCIDENTS = 100
"""How many incidents the page is told of."""

_LAST_VERSION = 2**53
_DIGITS = bytes(ord("0") + number % 10 for number in range(256))
_PORTION = 5_000
"""How many games are named between two turns of the loop, in a fraction of a millisecond."""

_QUICK = 1
_GZIP = 31


class CellAnswers:
    """`GET /api/cells` and `GET /api/cells/stream`."""

    def __init__(self, sight: RunStatus) -> None:
        self._sight = sight

    async def cells(self, _: Request) -> Response:
        """All of them; compressed on a thread of its own, for there may be a hundred thousand."""
        await self._sight.refresh()
        document = await self._document()
        body = await asyncio.to_thread(_compressed, document)
        headers = {"Cache-Control": "no-store", "Content-Encoding": "gzip"}
        return Response(body, media_type="application/json", headers=headers)

    async def stream(self, request: Request) -> StreamingResponse:
        """After the version `after`: `cells` for each change, `fleet` once a second, `incidents` when they differ.

        `reload` where too much has changed since: the cells are to be read again.
        """
        return streaming(self._follow(number_in(request, "after", 0, most=_LAST_VERSION)))

    async def _follow(self, after: int) -> AsyncIterator[bytes]:
        known, told = self._sight.incidents, None
        async for delta in self._sight.deltas(after):
            if delta is not None:
                yield sent(msgspec.json.encode(_delta(delta)), "cells")
            yield sent(msgspec.json.encode(fleet_document(self._sight)), "fleet")
            if told != (told := (known.cursor, len(known.open))):
                yield sent(msgspec.json.encode(incidents_document(self._sight, INCIDENTS)), "incidents")
        yield sent(b"{}", "reload")

    async def _document(self) -> Cells:
        """As things are at one moment: names are made of copies, in portions, for there may be very many."""
        cells = self._sight.cells
        version, conditions, games, hosts = cells.version, bytes(cells.conditions), [*cells.games], [*cells.hosts]
        names = sorted(cells.on_host)
        numbers = {name: number for number, name in enumerate(names)}
        return Cells(
            version=version,
            state_names=[condition.value for condition in CONDITIONS],
            states=conditions.translate(_DIGITS).decode("ascii"),
            ids=[None if game is None else game.game_id async for game in cooperative_iter(games, _PORTION)],
            host_names=names,
            hosts=[numbers.get(host, -1) async for host in cooperative_iter(hosts, _PORTION)],
        )


def _compressed(document: Cells) -> bytes:
    packer = zlib.compressobj(_QUICK, wbits=_GZIP)
    return packer.compress(msgspec.json.encode(document)) + packer.flush()


def _delta(delta: Delta) -> CellsDelta:
    return CellsDelta(delta.version, delta.came, delta.left, list(delta.turned.items()))
