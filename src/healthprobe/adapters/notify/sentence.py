"""Alerts as sentences for the person on call: one line of plain text each."""

from __future__ import annotations

from healthprobe._util.duration import two_units
from healthprobe._util.text import shorten
from healthprobe.domain.alarms.alert import Alert, ResolvedAlert
from healthprobe.domain.alarms.alerting import ANSWERS_AGAIN, OBSERVED_AGAIN
from healthprobe.domain.outcome import sanitize_error

_LONGEST_NAME = 100
_LONGEST_CAUSE = 200

_MOST_NAMES = 10
"""The most games of a group that are named."""

_HARMLESS = str.maketrans(
    {"@": "@\u200b", "<": "‹", ">": "›", "&": "＆", "`": "'", "[": "(", "]": ")", "*": "∗", '"': "'"}  # noqa: RUF001
)
"""Replacements of the characters that begin mentions, links and formatting: no game or engine may inject those."""


def sentence_of_open(alert: Alert) -> str:
    """Returns the sentence of an open alert. No name and no cause in it can mention, link or format.

    >>> from datetime import UTC, datetime
    >>> began = datetime(2026, 11, 23, 17, 0, 15, tzinfo=UTC)
    >>> sentence_of_open(Alert(key="1", name="EngineNotAnswering", labels={"game_id": "game-7", "host": "10.0.0.3"},
    ...     summary="", last_error="unexpected status 503", started_at=began, game_ids=("game-7",)))
    'game-7 on 10.0.0.3 has stopped answering: "unexpected status 503" (since 2026-11-23 17:00:15 UTC)'
    >>> sentence_of_open(Alert(key="2", name="EnginesNotAnswering", labels={}, summary="", last_error="timeout",
    ...     started_at=began, game_ids=("a", "b", "c"), group_size=4, group=("host", "10.0.0.3")))
    '3 of 4 engines on 10.0.0.3 have stopped answering: a, b, c; first with "timeout" (since 2026-11-23 17:00:15 UTC)'
    """
    cause = f'"{_harmless(alert.last_error, _LONGEST_CAUSE)}"' if alert.last_error else "no cause is known"
    since = f"(since {alert.started_at:%Y-%m-%d %H:%M:%S} UTC)"
    if not _is_group(alert):
        what = "is not observed" if alert.is_not_observed else "has stopped answering"
        return f"{_subject(alert)} {what}: {cause} {since}"
    number = f"{len(alert.game_ids):,}" + (f" of {alert.group_size:,}" if alert.group_size else "")
    what = "are not observed" if alert.is_not_observed else "have stopped answering"
    return f"{number} {_subject(alert)} {what}: {_names(alert)}; first with {cause} {since}"


def sentence_of_resolved(resolved: ResolvedAlert) -> str:
    """Returns the sentence of an alert that is over.

    >>> from datetime import UTC, datetime
    >>> began = datetime(2026, 11, 23, 17, 0, 15, tzinfo=UTC)
    >>> alert = Alert(key="1", name="EngineNotAnswering", labels={"game_id": "game-7"}, summary="",
    ...     last_error="unexpected status 503", started_at=began, game_ids=("game-7",))
    >>> sentence_of_resolved(ResolvedAlert(alert=alert, resolved_at=datetime(2026, 11, 23, 17, 3, 35, tzinfo=UTC)))
    'game-7 answers again after 3m20s'
    """
    alert = resolved.alert
    lasted = two_units(max((resolved.resolved_at - alert.started_at).total_seconds(), 0.0))
    subject = f"the {_subject(alert)}" if _is_group(alert) else _subject(alert)
    if alert.is_not_observed and is_back(resolved):
        return f"{subject} {'are' if _is_group(alert) else 'is'} observed again after {lasted}"
    if is_back(resolved):
        return f"{subject} {'answer' if _is_group(alert) else 'answers'} again after {lasted}"
    return f"{subject}: {_harmless(resolved.reason, _LONGEST_CAUSE)}, after {lasted} without an answer"


def is_back(resolved: ResolvedAlert) -> bool:
    """Returns whether an alert is over because its games answer, or are observed, again."""
    return resolved.reason in {ANSWERS_AGAIN, OBSERVED_AGAIN}


def _is_group(alert: Alert) -> bool:
    return alert.group is not None or len(alert.game_ids) > 1


def _subject(alert: Alert) -> str:
    """Returns what does not answer: a game and its host, or the engines of a group."""
    if not _is_group(alert):
        host = alert.labels.get("host", "")
        game = _harmless(alert.game_ids[0], _LONGEST_NAME)
        return f"{game} on {_harmless(host, _LONGEST_NAME)}" if host else game
    label, value = alert.group or ("", "")
    if not label:
        return "engines"
    named = _harmless(value, _LONGEST_NAME)
    return f"engines on {named}" if label == "host" else f"engines of {_harmless(label, _LONGEST_NAME)} {named}"


def _names(alert: Alert) -> str:
    named = [_harmless(game_id, _LONGEST_NAME) for game_id in alert.game_ids[:_MOST_NAMES]]
    more = len(alert.game_ids) - len(named)
    return ", ".join(named) + (f" and {more:,} more" if more else "")


def _harmless(text: str, longest: int) -> str:
    return shorten(sanitize_error(text), longest).translate(_HARMLESS)
