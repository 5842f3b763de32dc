"""The alert: an open incident as an on-call system sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import quote

ENGINE_NOT_ANSWERING = "EngineNotAnswering"
"""The name of the alert of one game."""

GROUP_NOT_ANSWERING = "EnginesNotAnswering"
"""The name of the alert of games that fail together."""

ENGINE_NOT_OBSERVED = "EngineNotObserved"
"""The name of the notice that nothing is known of one game: the prober could not ask its engine."""

ENGINES_NOT_OBSERVED = "EnginesNotObserved"
"""The name of the notice that nothing is known of several games of one prober."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """An open incident, or several open incidents with one cause; or games of which nothing is known.

    `key` stays the same for as long as the alert lasts, on every instance and after a restart; no other alert of any
    log has it. `labels` say what it is about (`game_id`, `host` and the labels of its record, or what a group has in
    common), without `alertname`. `summary` is a sentence for people, `last_error` the cause in the words of the first
    incident. `started_at` is when the first incident began, in UTC. `game_ids` are the games that do not answer, in
    order: one, save in a group, which has `group_size` games in all; `group` is the label and the value that those have
    in common.
    """

    key: str
    name: str
    labels: Mapping[str, str]
    summary: str
    last_error: str
    started_at: datetime
    game_ids: tuple[str, ...]
    group_size: int | None = None
    group: tuple[str, str] | None = None
    severity: str = "critical"

    @property
    def is_not_observed(self) -> bool:
        """Whether it says that nothing is known of its games, and not that they have failed."""
        return self.name in {ENGINE_NOT_OBSERVED, ENGINES_NOT_OBSERVED}


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedAlert:
    """An alert that is over since `resolved_at`, in UTC, and why: in words for people."""

    alert: Alert
    resolved_at: datetime
    reason: str = field(default="answers again")


SEVERITIES = ("critical", "error", "warning", "info")
"""What the severity of an alert may be, the worst first."""


@dataclass(frozen=True, slots=True)
class AlertRoute:
    """A way of alerts to the alerter at `url`, which may hold a secret.

    It takes alerts that have all labels of `match`, and gives them its `severity`. A route without `match` takes those
    that no other route matches.
    """

    url: str = field(repr=False)
    match: Mapping[str, str] = field(default_factory=dict)
    severity: str = SEVERITIES[0]


def page_link(page: str, alert: Alert) -> str:
    """Returns the URL of an alert on the page at `page`: of its game, or of a group's games that are down or unknown.

    >>> from datetime import UTC
    >>> alert = Alert(key="1", name=ENGINE_NOT_ANSWERING, labels={"game_id": "a b"}, summary="", last_error="",
    ...     started_at=datetime(2026, 11, 23, tzinfo=UTC), game_ids=("a b",))
    >>> page_link("https://ops.example/health", alert)
    'https://ops.example/health/?game=a%20b'
    """
    base = page.rstrip("/") + "/"
    if not alert.game_ids:
        return base
    if alert.group_size is None and len(alert.game_ids) == 1:
        return f"{base}?game={quote(alert.game_ids[0], safe='', errors='replace')}"
    host = alert.labels.get("host", "")
    state = "unknown" if alert.is_not_observed else "down"
    return f"{base}?state={state}" + (f"&host={quote(host, safe='', errors='replace')}" if host else "")
