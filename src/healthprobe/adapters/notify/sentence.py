"""A health event as one sentence for the person on call."""

from __future__ import annotations

from healthprobe._util.text import shorten
from healthprobe.domain.event import HealthEvent, ProbeEndedDetails, ProbeFailedDetails
from healthprobe.domain.outcome import sanitize_error

_LONGEST_NAME = 100
_LONGEST_CAUSE = 200

_HARMLESS = str.maketrans(
    {"@": "@\u200b", "<": "‹", ">": "›", "&": "＆", "`": "'", "[": "(", "]": ")", "*": "∗", '"': "'"}  # noqa: RUF001
)
"""Replacements of the characters that begin mentions, links and formatting: no game or engine may inject those."""


def sentence_of(event: HealthEvent) -> str:
    """Returns the event as one line of plain text, without mentions, links or formatting in its ids and its error.

    >>> from datetime import UTC, datetime
    >>> from healthprobe.domain.event import ProbeRecoveredDetails
    >>> instant = datetime(2026, 11, 23, 17, 0, 15, tzinfo=UTC)
    >>> sentence_of(HealthEvent(2, "game-7", "c0ffee", instant, ProbeRecoveredDetails(5)))
    'game-7 answers again after 5 failures in a row (container c0ffee, at 17:00:15 UTC)'
    """
    details = event.details
    place = f"container {_harmless(event.container_id, _LONGEST_NAME)}, " if event.container_id else ""
    instant = f"{event.occurred_at:%H:%M:%S} UTC"
    game = _harmless(event.game_id, _LONGEST_NAME)
    if isinstance(details, ProbeFailedDetails):
        cause = _harmless(details.last_error, _LONGEST_CAUSE)
        count = _failures(details.consecutive_failures)
        return f'{game} has stopped answering: {count}, last one "{cause}" ({place}since {instant})'
    if isinstance(details, ProbeEndedDetails):
        why = _harmless(details.reason, _LONGEST_CAUSE)
        return f"{game} had stopped answering, and its incident has ended: {why} ({place}at {instant})"
    return f"{game} answers again after {_failures(details.prior_failure_count)} ({place}at {instant})"


def _failures(count: int) -> str:
    return "1 failure" if count == 1 else f"{count} failures in a row"


def _harmless(text: str, longest: int) -> str:
    return shorten(sanitize_error(text), longest).translate(_HARMLESS)
