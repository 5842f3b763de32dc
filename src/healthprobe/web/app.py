"""The application: what is answered where. Everything is read-only."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from healthprobe.status.run_status import RunStatus
from healthprobe.web.auth import Guard
from healthprobe.web.cells import CellAnswers
from healthprobe.web.cluster import ClusterAnswers
from healthprobe.web.events import EventAnswers
from healthprobe.web.fleet import FleetAnswers
from healthprobe.web.games import GameAnswers
from healthprobe.web.incidents import IncidentAnswers
from healthprobe.web.openapi import openapi_document
from healthprobe.web.responses import answer, refusal

_NOTHING_HERE = "there is nothing at this path; /api/openapi.json tells what there is"

Answer = Callable[[Request], Awaitable[Response]]

_PAGE = files("healthprobe.web.static")
_KINDS = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


def application(sight: RunStatus, exposition: Callable[[], tuple[bytes, str]], *, token: str | None = None) -> ASGIApp:
    """All that there is to read of a run. `exposition` gives the metrics and their content type.

    With `token` only who knows it may read; without, only requests that name loopback are answered.
    """
    fleet, games, events, cells = FleetAnswers(sight), GameAnswers(sight), EventAnswers(sight), CellAnswers(sight)

    async def metrics(_: Request) -> Response:
        await sight.refresh()
        content, kind = exposition()
        return Response(content, headers={"Content-Type": kind, "Cache-Control": "no-store"})

    async def openapi(_: Request) -> Response:
        return answer(openapi_document())

    routes = {
        "/healthz": fleet.healthz,
        "/metrics": metrics,
        "/api/fleet": fleet.fleet,
        "/api/games": games.games,
        "/api/games/{game_id:path}": games.game,
        "/api/cluster": ClusterAnswers(sight).cluster,
        "/api/incidents": IncidentAnswers(sight).incidents,
        "/api/events": events.events,
        "/api/events/stream": events.stream,
        "/api/cells": cells.cells,
        "/api/cells/stream": cells.stream,
        "/api/openapi.json": openapi,
        **{f"/{file.name}": _served(file) for file in _PAGE.iterdir() if Path(file.name).suffix in _KINDS},
        "/": _served(_PAGE / "index.html"),
    }
    app = Starlette(
        routes=[Route(path, answers, methods=["GET"]) for path, answers in routes.items()],
        exception_handlers={HTTPException: _refused, Exception: _broken},
    )
    app.router.redirect_slashes = False  # it takes a query for text, and there is nothing to be found that way
    return Guard(app, token=token)


def _served(file: Traversable) -> Answer:
    """Read once: what is installed does not change while it runs."""
    content, kind = file.read_bytes(), _KINDS[Path(file.name).suffix]

    async def served(_: Request) -> Response:
        return Response(content, media_type=kind, headers={"Cache-Control": "no-cache"})

    return served


async def _refused(_: Request, refused: Exception) -> Response:
    assert isinstance(refused, HTTPException)
    told = _NOTHING_HERE if refused.status_code == 404 else refused.detail
    response = refusal(refused.status_code, told)
    response.headers.update(refused.headers or {})
    return response


async def _broken(_: Request, __: Exception) -> Response:
    return refusal(500, "a fault of the prober's own, which its log tells of")
