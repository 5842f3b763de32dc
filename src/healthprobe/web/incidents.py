"""The incidents: those that are open, the longest first, and the last that ended."""

from __future__ import annotations

from datetime import datetime

from starlette.requests import Request
from starlette.responses import Response

from healthprobe.domain.event import ProbeFailedDetails
from healthprobe.domain.incident import Incident, incidents
from healthprobe.status.run_status import RunStatus
from healthprobe.web import schemas
from healthprobe.web.responses import MOST_PER_PAGE, PER_PAGE, answer, number_in


class IncidentAnswers:
    """`GET /api/incidents`."""

    def __init__(self, sight: RunStatus) -> None:
        self._sight = sight

    async def incidents(self, request: Request) -> Response:
        limit = number_in(request, "limit", PER_PAGE, least=1, most=MOST_PER_PAGE)
        await self._sight.refresh()
        return answer(incidents_document(self._sight, limit))


def incidents_document(sight: RunStatus, limit: int) -> schemas.Incidents:
    """At most `limit` of them, as they were at the last refresh."""
    now, known = sight.clock(), sight.incidents
    began = sorted(known.open.values(), key=lambda failed: failed.occurred_at)
    shown = [*incidents(began[:limit]), *list(reversed(known.ended))[: max(limit - len(began), 0)]]
    return schemas.Incidents(len(began), [incident_document(each, now) for each in shown])


def incident_document(incident: Incident, now: datetime) -> schemas.Incident:
    details = incident.failed.details
    assert isinstance(details, ProbeFailedDetails)
    return schemas.Incident(
        game_id=incident.game_id,
        container_id=incident.failed.container_id,
        open=incident.is_open,
        failed_at=incident.failed.occurred_at,
        recovered_at=None if incident.recovered is None else incident.recovered.occurred_at,
        duration_s=round(incident.lasted(now).total_seconds(), 3),
        last_status=details.last_status,
        last_error=details.last_error,
    )
