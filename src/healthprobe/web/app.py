"""The application: which function answers which path. Everything is read-only."""

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
from healthprobe.web.auth import AuthMiddleware
from healthprobe.web.availability import get_availability
from healthprobe.web.cells import get_cells, stream_cells
from healthprobe.web.cluster import get_cluster
from healthprobe.web.events import get_events, stream_events
from healthprobe.web.fleet import get_fleet, get_healthz
from healthprobe.web.games import get_game, get_games
from healthprobe.web.incidents import get_incidents
from healthprobe.web.openapi import openapi_document
from healthprobe.web.responses import error_response, json_response, status_of
from healthprobe.web.silences import get_silences

Endpoint = Callable[[Request], Awaitable[Response]]

_PAGE = files("healthprobe.web") / "static"
_MEDIA_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


def create_app(status: RunStatus, exposition: Callable[[], tuple[bytes, str]], *, token: str | None = None) -> ASGIApp:
    """Returns the application of a run. `exposition` returns the metrics and their content type.

    With a `token` every request but /healthz must carry it; without one only requests for localhost are answered.
    """

    async def get_metrics(request: Request) -> Response:
        await status_of(request).refresh()
        content, content_type = exposition()
        return Response(content, headers={"Content-Type": content_type, "Cache-Control": "no-store"})

    async def get_openapi(_: Request) -> Response:
        return json_response(openapi_document())

    routes: dict[str, Endpoint] = {
        "/metrics": get_metrics,
        "/api/fleet": get_fleet,
        "/api/games": get_games,
        "/api/games/{game_id:path}": get_game,
        "/api/cluster": get_cluster,
        "/api/incidents": get_incidents,
        "/api/silences": get_silences,
        "/api/availability": get_availability,
        "/api/events": get_events,
        "/api/events/stream": stream_events,
        "/api/cells": get_cells,
        "/api/cells/stream": stream_cells,
        "/api/openapi.json": get_openapi,
        **{f"/{file.name}": _static(file) for file in _PAGE.iterdir() if Path(file.name).suffix in _MEDIA_TYPES},
        "/": _static(_PAGE / "index.html"),
    }
    app = Starlette(
        routes=[
            Route("/healthz", get_healthz, methods=["GET", "OPTIONS"]),  # HAProxy's check is an OPTIONS by default
            *(Route(path, endpoint, methods=["GET"]) for path, endpoint in routes.items()),
        ],
        exception_handlers={HTTPException: _http_error, Exception: _internal_error},
    )
    app.state.run_status = status
    app.router.redirect_slashes = False  # its redirect does not quote the query, and no path here ends in a slash
    return AuthMiddleware(app, token=token)


def _static(file: Traversable) -> Endpoint:
    content, media_type = file.read_bytes(), _MEDIA_TYPES[Path(file.name).suffix]

    async def get_file(_: Request) -> Response:
        return Response(content, media_type=media_type, headers={"Cache-Control": "no-cache"})

    return get_file


async def _http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    detail = "no such path; /api/openapi.json lists all paths" if error.status_code == 404 else error.detail
    response = error_response(error.status_code, detail)
    response.headers.update(error.headers or {})
    return response


async def _internal_error(_: Request, __: Exception) -> Response:
    return error_response(500, "internal error of the prober; its log has the details")
