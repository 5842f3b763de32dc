"""`GET /api/availability`: how long one game was up, down and unwatched in the last 30 days, and on each of them."""

from __future__ import annotations

from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import Response

from healthprobe.domain.availability import Availability, Span
from healthprobe.ports import LogError
from healthprobe.web.responses import BadRequest, error_response, json_response, status_of
from healthprobe.web.schemas import GameAvailability, PartOfTime


async def get_availability(request: Request) -> Response:
    """Returns the availability of the game `game`, also of one that no longer runs."""
    game_id = request.query_params.get("game", "")
    if not game_id:
        raise BadRequest("game must be the id of a game")
    status = status_of(request)
    try:
        window, whole, days = await status.past_incidents.availability(game_id, status.clock())
    except LogError as error:
        return error_response(503, f"the log is unavailable: {error}")
    document = whole.as_document()
    return json_response(
        GameAvailability(
            game_id=game_id,
            since=_instant(window[0]),
            until=_instant(window[1]),
            days=[_part(span, each) for span, each in days],
            **document,
        )
    )


def _part(span: Span, figures: Availability) -> PartOfTime:
    return PartOfTime(
        _instant(span[0]), round(figures.up_s, 3), round(figures.down_s, 3), round(figures.unwatched_s, 3)
    )


def _instant(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
