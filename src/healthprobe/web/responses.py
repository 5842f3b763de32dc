"""The answers: documents as JSON, and refusals in one line that says what to change."""

from __future__ import annotations

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from healthprobe.web.schemas import Trouble

_encoder = msgspec.json.Encoder()

PER_PAGE = 100
MOST_PER_PAGE = 1_000


class Misasked(HTTPException):
    """A parameter cannot be obeyed."""

    def __init__(self, told: str) -> None:
        super().__init__(400, told)


def answer(document: object, status: int = 200) -> Response:
    """`document` as JSON, never to be kept."""
    return Response(
        _encoder.encode(document), status, media_type="application/json", headers={"Cache-Control": "no-store"}
    )


def refusal(status: int, told: str) -> Response:
    return answer(Trouble(told), status)


def number_in(request: Request, name: str, default: int, *, least: int = 0, most: int) -> int:
    """The query parameter `name`. Raises Misasked unless it is a whole number between `least` and `most`."""
    text = request.query_params.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal()) or len(text) > 20 or not least <= int(text) <= most:
        raise Misasked(f"{name} is a whole number from {least} to {most}")
    return int(text)


def word_in(request: Request, name: str, *, longest: int = 300) -> str:
    """The query parameter `name`, or nothing. Raises Misasked where it is longer."""
    text = request.query_params.get(name, "")
    if len(text) > longest:
        raise Misasked(f"{name} is longer than {longest} characters")
    return text
