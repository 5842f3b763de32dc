"""`GET /api/silences`: what holds back alarms now."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from healthprobe.domain.alarms.silence import Silence
from healthprobe.web import schemas
from healthprobe.web.responses import json_response, status_of


async def get_silences(request: Request) -> Response:
    return json_response(schemas.Silences([silence_document(each) for each in status_of(request).silences]))


def silence_document(silence: Silence) -> schemas.Silence:
    matcher = silence.matcher
    return schemas.Silence(
        id=silence.id,
        games=list(matcher.games),
        host=matcher.host,
        labels=dict(matcher.labels),
        who=silence.who,
        why=silence.why,
        created_at=silence.created_at,
        ends_at=silence.ends_at,
    )
