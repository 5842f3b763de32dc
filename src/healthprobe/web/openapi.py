"""The OpenAPI document of the API, made from its schemas."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import msgspec

from healthprobe.domain.fleet_status import Condition
from healthprobe.web import schemas
from healthprobe.web.responses import DEFAULT_LIMIT, MAX_LIMIT

_MAX_CURSOR = 2**63 - 1


def openapi_document() -> dict[str, Any]:
    """Returns the OpenAPI 3.1 document of all JSON endpoints and both streams."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "healthprobe",
            "version": version("healthprobe"),
            "description": "The live status of game engines, as healthprobe sees them. Read-only.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": {
            "/healthz": _get(
                "Health of the prober itself", schemas.Health, others={"503": ("The prober is stuck", schemas.Health)}
            ),
            "/api/fleet": _get("The fleet in one sentence and in numbers", schemas.Fleet),
            "/api/cluster": _get(
                "The instances that share the fleet",
                schemas.Cluster,
                others={"404": ("The run is not in a cluster", schemas.Error)},
            ),
            "/api/games": _get("Games that match, the worst state first", schemas.Games, _GAMES, has_bad_request=True),
            "/api/games/{game_id}": _get(
                "One game in detail",
                schemas.GameDetails,
                [_GAME_ID],
                others={"404": ("The game is not watched here", schemas.Error)},
            ),
            "/api/incidents": _get(
                "Open incidents and the most recent ended ones",
                schemas.Incidents,
                [_LABEL, _LIMIT],
                has_bad_request=True,
            ),
            "/api/silences": _get("What holds back alarms now", schemas.Silences),
            "/api/availability": _get(
                "The last 30 days of one game",
                schemas.GameAvailability,
                [_GAME],
                has_bad_request=True,
                others={"503": ("The log is unavailable", schemas.Error)},
            ),
            "/api/events": _get(
                "A page of the log",
                schemas.Events,
                [_AFTER, _LABEL, _LIMIT],
                has_bad_request=True,
                others={"503": ("The log is unavailable", schemas.Error)},
            ),
            "/api/cells": _get("All games at once, for a grid", schemas.Cells),
            "/api/events/stream": _stream(
                "Health events as they enter the log; each has its cursor as id", [_AFTER, _LABEL]
            ),
            "/api/cells/stream": _stream("Changes of the cells: events cells, fleet, incidents, reload", [_VERSION]),
        },
        "components": {"schemas": _schemas()},
    }


def _parameter(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "description": description, "schema": schema}


def _integer(minimum: int, maximum: int, default: int | None = None) -> dict[str, Any]:
    schema = {"type": "integer", "minimum": minimum, "maximum": maximum}
    return schema if default is None else {**schema, "default": default}


_LIMIT = _parameter("limit", "Maximum number of results", _integer(1, MAX_LIMIT, DEFAULT_LIMIT))
_AFTER = _parameter("after", "Only events after this cursor", _integer(0, _MAX_CURSOR))
_VERSION = _parameter("after", "Only changes after this version", _integer(0, 2**53))
_LABEL = {
    **_parameter(
        "label",
        "Only games with this label, NAME=VALUE; may be repeated, for games that have all of them",
        {"type": "array", "items": {"type": "string", "pattern": "^[a-zA-Z_][a-zA-Z0-9_]*=.*$"}},
    ),
    "explode": True,
}
_GAMES = [
    _LABEL,
    _parameter("state", "Only games in this state", {"type": "string", "enum": ["", *map(str, Condition)]}),
    _parameter("q", "Only games whose id contains this text, ignoring case", {"type": "string", "maxLength": 300}),
    _parameter("host", "Only games on this host", {"type": "string", "maxLength": 300}),
    _parameter("page", "Page number", _integer(1, 1_000_000, 1)),
    _parameter("per_page", "Games on a page", _integer(1, MAX_LIMIT, DEFAULT_LIMIT)),
]
_GAME = {"name": "game", "in": "query", "required": True, "schema": {"type": "string", "minLength": 1}}
_GAME_ID = {"name": "game_id", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}


def _get(
    summary: str,
    document: type[schemas.Document],
    parameters: list[dict[str, Any]] | None = None,
    *,
    has_bad_request: bool = False,
    others: dict[str, tuple[str, type[schemas.Document]]] | None = None,
) -> dict[str, Any]:
    responses: dict[str, tuple[str, type[schemas.Document]]] = {
        "200": ("The current state", document),
        **(others or {}),
        "401": ("The token is missing or wrong", schemas.Error),
    }
    if has_bad_request:
        responses["400"] = ("A parameter is invalid", schemas.Error)
    return {
        "get": {
            "summary": summary,
            "parameters": parameters or [],
            "responses": {status: _response(*each) for status, each in sorted(responses.items())},
        }
    }


def _response(description: str, document: type[schemas.Document]) -> dict[str, Any]:
    reference = {"$ref": f"#/components/schemas/{document.__name__}"}
    return {"description": description, "content": {"application/json": {"schema": reference}}}


def _stream(summary: str, parameters: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "get": {
            "summary": summary,
            "parameters": parameters,
            "responses": {
                "200": {"description": "Server-sent events", "content": {"text/event-stream": {}}},
                "400": _response("A parameter is invalid", schemas.Error),
                "401": _response("The token is missing or wrong", schemas.Error),
            },
        }
    }


def _schemas() -> dict[str, Any]:
    documents = [
        schemas.Health,
        schemas.Fleet,
        schemas.Cluster,
        schemas.Games,
        schemas.GameDetails,
        schemas.Incidents,
        schemas.Silences,
        schemas.GameAvailability,
        schemas.Events,
        schemas.Cells,
        schemas.CellsDelta,
        schemas.Error,
    ]
    _, components = msgspec.json.schema_components(documents, ref_template="#/components/schemas/{name}")
    return components
