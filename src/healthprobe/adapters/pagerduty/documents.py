"""An alert as an event of PagerDuty's Events API v2."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from healthprobe._util.text import shorten
from healthprobe.domain.alarms.alert import Alert, ResolvedAlert, page_link

_LONGEST_KEY = 255
_LONGEST_SUMMARY = 1024
_LONGEST_NAME = 255
_LONGEST_LIST = 10_000
_SEVERITIES = ("critical", "error", "warning", "info")


def dedup_key(alert: Alert) -> str:
    """Returns the key of the alert at PagerDuty: its own, or a digest of one that is longer than 255 characters."""
    if len(alert.key) <= _LONGEST_KEY and alert.key.isascii():
        return alert.key
    return f"sha256:{sha256(alert.key.encode(errors='surrogatepass')).hexdigest()}"


def trigger(alert: Alert, routing_key: str, page: str | None) -> dict[str, Any]:
    """Returns the event that opens or updates an alert. `page` is the URL of our page, or None."""
    details: dict[str, Any] = {
        **alert.labels,
        "alertname": alert.name,
        "severity": alert.severity,
        "last_error": alert.last_error,
        "since": f"{alert.started_at:%Y-%m-%d %H:%M:%S} UTC",
    }
    if alert.group_size is not None or len(alert.game_ids) > 1:
        details["failed"] = f"{len(alert.game_ids)} of {alert.group_size or 'some'}"
        details["games"] = shorten(", ".join(alert.game_ids), _LONGEST_LIST)
    source = alert.labels.get("host") or alert.labels.get("game_id") or "healthprobe"
    event: dict[str, Any] = {
        "routing_key": routing_key,
        "event_action": "trigger",
        "dedup_key": dedup_key(alert),
        "client": "healthprobe",
        "payload": {
            "summary": shorten(alert.summary, _LONGEST_SUMMARY),
            "source": shorten(source, _LONGEST_NAME),
            "severity": alert.severity if alert.severity in _SEVERITIES else "critical",
            "timestamp": alert.started_at.isoformat(),
            "component": shorten(alert.labels.get("game_id") or source, _LONGEST_NAME),
            "class": alert.name,
            "custom_details": details,
        },
    }
    if page is not None:
        link = page_link(page, alert)
        event |= {"client_url": link, "links": [{"href": link, "text": "healthprobe"}]}
    return event


def resolution(resolved: ResolvedAlert, routing_key: str) -> dict[str, Any]:
    """Returns the event that closes an alert."""
    return {"routing_key": routing_key, "event_action": "resolve", "dedup_key": dedup_key(resolved.alert)}
