"""The OpenAPI document, made from the documents that are answered with."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import msgspec

from healthprobe.domain.fleet_status import Condition
from healthprobe.web import schemas
from healthprobe.web.responses import MOST_PER_PAGE, PER_PAGE

_LARGEST = 2**63 - 1


def openapi_document() -> dict[str, Any]:
    """OpenAPI 3.1 for everything that answers with JSON, and for both streams."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "healthprobe",
            "version": version("healthprobe"),
            "description": "What a prober of game engines sees. Read-only.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": {
            "/healthz": _get(
                "Whether the prober itself is well", schemas.Health, others={"503": ("It is stuck", schemas.Health)}
            ),
            "/api/fleet": _get("The fleet in a sentence and in numbers", schemas.Fleet),
            "/api/cluster": _get(
                "The instances that share the fleet",
                schemas.Cluster,
                others={"404": ("It is in no cluster", schemas.Trouble)},
            ),
            "/api/games": _get("Games that match, the worst first", schemas.Games, _GAMES, misasked=True),
            "/api/games/{game_id}": _get(
                "All that is known of one game",
                schemas.GameDetails,
                [_GAME_ID],
                others={"404": ("It is not watched here", schemas.Trouble)},
            ),
            "/api/incidents": _get(
                "Open incidents and the last that ended", schemas.Incidents, [_LIMIT], misasked=True
            ),
            "/api/events": _get(
                "A page of the log",
                schemas.Events,
                [_AFTER, _LIMIT],
                misasked=True,
                others={"503": ("The log does not answer", schemas.Trouble)},
            ),
            "/api/cells": _get("All games at once, for a grid", schemas.Cells),
            "/api/events/stream": _stream("The log as it grows: an event of its type each, its cursor as id", [_AFTER]),
            "/api/cells/stream": _stream("What changes in the cells: cells, fleet, incidents, reload", [_VERSION]),
        },
        "components": {"schemas": _schemas()},
    }


def _parameter(name: str, told: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "description": told, "schema": schema}


def _whole(least: int, most: int, default: int | None = None) -> dict[str, Any]:
    schema = {"type": "integer", "minimum": least, "maximum": most}
    return schema if default is None else {**schema, "default": default}


_LIMIT = _parameter("limit", "How many at most", _whole(1, MOST_PER_PAGE, PER_PAGE))
_AFTER = _parameter("after", "Only what is behind this cursor", _whole(0, _LARGEST))
_VERSION = _parameter("after", "Only what changed after this version", _whole(0, 2**53))
_GAMES = [
    _parameter("state", "Only games in this state", {"type": "string", "enum": ["", *map(str, Condition)]}),
    _parameter("q", "Only games whose id has this in it, in any case", {"type": "string", "maxLength": 300}),
    _parameter("host", "Only games on this host", {"type": "string", "maxLength": 300}),
    _parameter("page", "Which page", _whole(1, 1_000_000, 1)),
    _parameter("per_page", "How many on a page", _whole(1, MOST_PER_PAGE, PER_PAGE)),
]
_GAME_ID = {"name": "game_id", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}


def _get(
    told: str,
    document: type[schemas.Document],
    parameters: list[dict[str, Any]] | None = None,
    *,
    misasked: bool = False,
    others: dict[str, tuple[str, type[schemas.Document]]] | None = None,
) -> dict[str, Any]:
    answers: dict[str, tuple[str, type[schemas.Document]]] = {
        "200": ("As it is now", document),
        **(others or {}),
        "401": ("No token", schemas.Trouble),
    }
    if misasked:
        answers["400"] = ("A parameter cannot be obeyed", schemas.Trouble)
    return {
        "get": {
            "summary": told,
            "parameters": parameters or [],
            "responses": {status: _response(*each) for status, each in sorted(answers.items())},
        }
    }


def _response(told: str, document: type[schemas.Document]) -> dict[str, Any]:
    reference = {"$ref": f"#/components/schemas/{document.__name__}"}
    return {"description": told, "content": {"application/json": {"schema": reference}}}


def _stream(told: str, parameters: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "get": {
            "summary": told,
            "parameters": parameters,
            "responses": {
                "200": {"description": "Server-sent events", "content": {"text/event-stream": {}}},
                "400": _response("A parameter cannot be obeyed", schemas.Trouble),
                "401": _response("No token", schemas.Trouble),
            },
        }
    }


def _schemas() -> dict[str, Any]:
    answered = [
        schemas.Health,
        schemas.Fleet,
        schemas.Cluster,
        schemas.Games,
        schemas.GameDetails,
        schemas.Incidents,
        schemas.Events,
        schemas.Cells,
        schemas.CellsDelta,
        schemas.Trouble,
    ]
    _, components = msgspec.json.schema_components(answered, ref_template="#/components/schemas/{name}")
    return components
