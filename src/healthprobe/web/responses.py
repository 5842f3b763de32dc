"""JSON responses, errors in one line, and the query parameters of requests."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from healthprobe.domain.labels import Selector, parse_selector
from healthprobe.status.run_status import RunStatus
from healthprobe.web.schemas import Error

_encoder = msgspec.json.Encoder()

DEFAULT_LIMIT = 100
MAX_LIMIT = 1_000


class BadRequest(HTTPException):
    """A parameter is invalid."""

    def __init__(self, detail: str) -> None:
        super().__init__(400, detail)


def encode(document: object) -> bytes:
    """Returns `document` as JSON. A lone surrogate, which no JSON can hold, becomes an escape sequence."""
    try:
        return _encoder.encode(document)
    except UnicodeEncodeError:
        return _encoder.encode(_printable(msgspec.to_builtins(document)))


def _printable(document: Any) -> Any:
    match document:
        case str():
            return document.encode("utf-8", "backslashreplace").decode()
        case dict():
            return {_printable(name): _printable(value) for name, value in document.items()}
        case list() | tuple():
            return [_printable(each) for each in document]
        case _:
            return document


def json_response(document: object, status: int = 200) -> Response:
    """Returns `document` as JSON that no cache keeps."""
    return Response(encode(document), status, media_type="application/json", headers={"Cache-Control": "no-store"})


def error_response(status: int, error: str) -> Response:
    return json_response(Error(error), status)


def status_of(request: Request) -> RunStatus:
    """Returns the status of the run that the application serves."""
    run_status: RunStatus = request.app.state.run_status
    return run_status


def int_parameter(request: Request, name: str, default: int, *, minimum: int = 0, maximum: int) -> int:
    """Returns the query parameter `name`. Raises BadRequest if it is not a whole number in the range."""
    text = request.query_params.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal()) or len(text) > 20 or not minimum <= int(text) <= maximum:
        raise BadRequest(f"{name} must be a whole number from {minimum} to {maximum}")
    return int(text)


def labels_parameter(request: Request) -> Selector:
    """Returns the labels that the query parameters `label`, each NAME=VALUE, ask for. Raises BadRequest."""
    try:
        return parse_selector(request.query_params.getlist("label"))
    except ValueError as error:
        raise BadRequest(str(error)) from None


def text_parameter(request: Request, name: str, *, max_length: int = 300) -> str:
    """Returns the query parameter `name`, or an empty string. Raises BadRequest if it is too long."""
    text = request.query_params.get(name, "")
    if len(text) > max_length:
        raise BadRequest(f"{name} must not be longer than {max_length} characters")
    return text
