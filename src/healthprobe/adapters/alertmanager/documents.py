"""An alert as Alertmanager's API takes it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from healthprobe._util.text import shorten
from healthprobe.domain.alarms.alert import Alert, ResolvedAlert, page_link

VALID_FOR = timedelta(days=1)
"""How long an alert goes on firing at an Alertmanager that hears no more of it.

If all of our instances die, the alert must not turn "resolved" while nobody watches. A day is longer than a night in
which nobody sees that, and it ends what an installation that was taken down has left behind.
"""

_LONGEST_LIST = 2000


def firing_document(alert: Alert, now: datetime, page: str | None) -> dict[str, Any]:
    """Returns an alert that fires from its beginning until a day from `now`. `page` is the URL of our page, or None."""
    return _document(alert, now + VALID_FOR, page, {})


def resolved_document(resolved: ResolvedAlert, page: str | None) -> dict[str, Any]:
    """Returns an alert that is over. It never ends before it began, which Alertmanager refuses."""
    ends_at = max(resolved.resolved_at, resolved.alert.started_at)
    return _document(resolved.alert, ends_at, page, {"reason": resolved.reason})


def ended_by(document: Mapping[str, Any], instant: datetime) -> dict[str, Any]:
    """Returns a copy of the document of an alert that is over by `instant`, and began before."""
    starts_at = min(datetime.fromisoformat(document["startsAt"]), instant)
    return {**document, "startsAt": starts_at.isoformat(), "endsAt": instant.isoformat()}


def _document(alert: Alert, ends_at: datetime, page: str | None, more: Mapping[str, str]) -> dict[str, Any]:
    link = None if page is None else page_link(page, alert)
    is_group = alert.group_size is not None or len(alert.game_ids) > 1
    annotations = {
        "summary": alert.summary,
        "last_error": alert.last_error,
        "since": f"{alert.started_at:%Y-%m-%d %H:%M:%S} UTC",
        "page": link or "",
        "games": shorten(", ".join(alert.game_ids), _LONGEST_LIST) if is_group else "",
        **more,
    }
    labels = {**alert.labels, "alertname": alert.name, "severity": alert.severity}
    document: dict[str, Any] = {
        "labels": {name: value for name, value in labels.items() if value},
        "annotations": {name: text for name, text in annotations.items() if text},
        "startsAt": alert.started_at.isoformat(),
        "endsAt": ends_at.isoformat(),
    }
    if link is not None:
        document["generatorURL"] = link
    return document
