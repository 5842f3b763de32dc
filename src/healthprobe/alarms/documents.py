"""Alerts as documents of the log, and what each alerter was sent."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from healthprobe.domain.alarms.alerting import DecidedAlert
from healthprobe.domain.event import format_instant, parse_instant

ALERTS = "alert"
"""The kind of the documents of decided alerts."""

ALERTERS = "alerters"
"""The kind of the documents that name the alerters to which alerts of this log were sent."""

_LONGEST = 50_000
"""The most characters of members in a document: a group may have thousands."""

_UNREADABLE = (ValueError, KeyError, TypeError, AttributeError, RecursionError)


def sent_kind(alerter: str) -> str:
    """Returns the kind of the documents of what an alerter was sent."""
    return f"alerter:{alerter}"


@dataclass(slots=True)
class SentAlert:
    """What an alerter was sent of an alert.

    `digest` is that of what it acknowledged last, or empty: it was sent, and may have arrived. `refused` is that of
    what it refused for good. `games` is how many the alert had when it was acknowledged. Not kept are `fired_at`, when
    that was last, in monotonic seconds, and `seen`, the alert that it was found to know, or to have refused.
    """

    digest: str = ""
    severity: str = "critical"
    refused: str = ""
    games: int = 0
    fired_at: float = float("-inf")
    seen: DecidedAlert | None = None

    @property
    def is_refused_alone(self) -> bool:
        """Whether it never took the alert."""
        return bool(self.refused) and not self.digest

    def as_text(self) -> str:
        return json.dumps(
            {"digest": self.digest, "severity": self.severity, "refused": self.refused, "games": self.games}
        )

    @classmethod
    def from_text(cls, text: str) -> SentAlert:
        """Returns what `as_text` wrote. One that was altered is one that may have arrived: the alert is fired again."""
        try:
            document = json.loads(text)
            refused, games = str(document.get("refused", "")), int(document.get("games", 0))
            return cls(str(document["digest"]), str(document["severity"]), refused, games)
        except _UNREADABLE:
            return cls()


@dataclass(frozen=True, slots=True)
class AlerterState:
    """How many alerts an alerter did not know as they were when it was last sent something."""

    behind: int

    def as_text(self) -> str:
        return json.dumps({"behind": self.behind})

    @classmethod
    def from_text(cls, text: str) -> AlerterState:
        """Returns what `as_text` wrote, or nothing behind for a text that was altered."""
        try:
            return cls(int(json.loads(text)["behind"]))
        except _UNREADABLE:
            return cls(0)


def documents_of(alert: DecidedAlert) -> dict[str, str]:
    """Returns the documents of an alert by their keys: one, and more where it has thousands of members."""
    parts = list(_parts(alert.members)) or [{}]
    head = {
        "labels": dict(alert.labels),
        "last_error": alert.last_error,
        "started_at": format_instant(alert.started_at),
        "changed_at": format_instant(alert.changed_at),
        "group": None if alert.group is None else list(alert.group),
        "group_size": alert.group_size,
        "resolved_at": None if alert.resolved_at is None else format_instant(alert.resolved_at),
        "reason": alert.reason,
        "members": parts[0],
        **({"not_observed": True} if alert.is_not_observed else {}),
    }
    others = {f"{alert.key}#{number}": {"of": alert.key, "members": part} for number, part in enumerate(parts[1:], 2)}
    return {key: json.dumps(document, ensure_ascii=False) for key, document in {alert.key: head, **others}.items()}


def keys_of(alert: DecidedAlert) -> list[str]:
    """Returns the keys of the documents of an alert."""
    return [alert.key] if len(alert.members) == 1 else list(documents_of(alert))


def alerts_in(documents: Mapping[str, str], warn: Callable[[str], None]) -> dict[str, DecidedAlert]:
    """Returns the alerts that `documents_of` wrote, by key. `warn` is called for each document that was altered."""
    alerts: dict[str, DecidedAlert] = {}
    further: list[tuple[str, Mapping[str, int]]] = []
    for key, text in documents.items():
        try:
            document = json.loads(text)
            if "of" in document:
                further.append((str(document["of"]), _members(document["members"])))
            else:
                alerts[key] = _alert(key, document)
        except _UNREADABLE as error:
            warn(f"the document {key} was altered and cannot be read: {error!r}"[:300])
    for key, members in further:
        if key in alerts:
            alerts[key] = replace(alerts[key], members={**alerts[key].members, **members})
    return alerts


def _alert(key: str, document: Mapping[str, Any]) -> DecidedAlert:
    group, size, resolved_at = document["group"], document["group_size"], document["resolved_at"]
    members = _members(document["members"])
    if not members:
        raise ValueError("it is about no game")
    return DecidedAlert(
        key=key,
        labels={str(name): str(value) for name, value in document["labels"].items()},
        last_error=str(document["last_error"]),
        started_at=parse_instant(document["started_at"]),
        changed_at=parse_instant(document["changed_at"]),
        members=members,
        group=None if group is None else (str(group[0]), str(group[1])),
        group_size=None if size is None else int(size),
        resolved_at=None if resolved_at is None else parse_instant(resolved_at),
        reason=str(document["reason"]),
        is_not_observed=bool(document.get("not_observed", False)),
    )


def _members(document: Mapping[str, Any]) -> dict[str, int]:
    return {str(game_id): int(sequence) for game_id, sequence in document.items()}


def _parts(members: Mapping[str, int]) -> Iterator[dict[str, int]]:
    part: dict[str, int] = {}
    length = 0
    for game_id, sequence in members.items():
        longer = len(json.dumps(game_id, ensure_ascii=False)) + len(str(sequence)) + 4
        if part and length + longer > _LONGEST:
            yield part
            part, length = {}, 0
        part[game_id] = sequence
        length += longer
    if part:
        yield part
