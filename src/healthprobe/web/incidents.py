"""`GET /api/incidents`: open incidents, the longest first, and the most recent ended ones."""

from __future__ import annotations

from datetime import datetime

from starlette.requests import Request
from starlette.responses import Response

from healthprobe.domain.event import ProbeFailedDetails
from healthprobe.domain.incident import Incident, incidents
from healthprobe.domain.labels import Selector, selects
from healthprobe.status.run_status import RunStatus
from healthprobe.web import schemas
from healthprobe.web.responses import (
    DEFAULT_LIMIT,
    MAX_LIMIT,
    int_parameter,
    json_response,
    labels_parameter,
    status_of,
)


async def get_incidents(request: Request) -> Response:
    status = status_of(request)
    limit = int_parameter(request, "limit", DEFAULT_LIMIT, minimum=1, maximum=MAX_LIMIT)
    labels = labels_parameter(request)
    await status.refresh()
    return json_response(incidents_document(status, limit, labels))


def incidents_document(status: RunStatus, limit: int, labels: Selector = ()) -> schemas.Incidents:
    """Returns at most `limit` incidents of games that had these labels, as of the last refresh."""
    now, known = status.clock(), status.incidents
    began = sorted(
        (failed for failed in known.open.values() if selects(labels, failed.labels)),
        key=lambda failed: failed.occurred_at,
    )
    ended = [each for each in reversed(known.ended) if selects(labels, each.labels)]
    shown = [*incidents(began[:limit]), *ended[: max(limit - len(began), 0)]]
    return schemas.Incidents(len(began), [incident_document(each, now, status) for each in shown])


def incident_document(incident: Incident, now: datetime, status: RunStatus) -> schemas.Incident:
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
        gone_at=incident.gone_at,
        silenced_until=status.silenced_until(incident.game_id) if incident.is_open else None,
        labels=dict(incident.labels),
    )
