"""Samples: game ids as platforms really write them, and events."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from healthprobe.domain.alarms.alert import ENGINE_NOT_ANSWERING, Alert
from healthprobe.domain.event import HealthEvent, ProbeEndedDetails, ProbeFailedDetails, ProbeRecoveredDetails

ODD_GAME_IDS = (
    "game-7",
    "GAME-7",
    " game-7 ",
    "a:1",
    "a:1:2",
    "line\nbreak",
    "tab\there",
    'it\'s "quoted"; DROP TABLE health_events;--',
    "back\\slash and 100% _ ?",
    "juego-ñandú",
    "игра-7",
    "ゲーム",
    "🎮👾",
    "e\u0301 is not \u00e9",
    "007",
    "null",
    "x" * 300,
)
"""Each is another game."""

LABELS = {"note": "ñandú 🎮 \"'\\", "region": "eu-1", "team": "chess"}

FIRST_SECOND = datetime(2026, 11, 23, 17, 0, 0, 123456, UTC)
AFTER_ALL_SAMPLES = datetime(2027, 11, 23, tzinfo=UTC)


def failed(game_id: str, sequence: int, *, container_id: str = "c0ffee", last_error: str = "") -> HealthEvent:
    """Returns a `probe_failed`, seen `sequence` minutes and as many microseconds after `FIRST_SECOND`."""
    details = ProbeFailedDetails(3, 503, last_error or "unexpected status 503")
    return HealthEvent(sequence, game_id, container_id, _instant(sequence), details)


def recovered(game_id: str, sequence: int, *, container_id: str = "c0ffee") -> HealthEvent:
    """Returns a `probe_recovered`, seen at the same time."""
    return HealthEvent(sequence, game_id, container_id, _instant(sequence), ProbeRecoveredDetails(5))


def ended(game_id: str, sequence: int, *, container_id: str = "c0ffee") -> HealthEvent:
    """Returns a `probe_ended`, seen at the same time."""
    return HealthEvent(sequence, game_id, container_id, _instant(sequence), ProbeEndedDetails())


def history(game_id: str, length: int) -> list[HealthEvent]:
    """Returns a game's first `length` events: failed, recovered, failed, …"""
    return [(failed if sequence % 2 else recovered)(game_id, sequence) for sequence in range(1, length + 1)]


def alert_of(
    game_id: str, *, incident: int = 1, labels: Mapping[str, str] | None = None, minutes_ago: float = 5.0
) -> Alert:
    """Returns the alert of a game's incident that began so many minutes ago, with these labels besides `game_id`."""
    return Alert(
        key=f"6f1c1a52-5d0e-4f8e-9a8e-1a2b3c4d5e6f:{game_id}:{incident}",
        name=ENGINE_NOT_ANSWERING,
        labels={"game_id": game_id, **(labels or {})},
        summary=f"{game_id} has stopped answering",
        last_error="unexpected status 503",
        started_at=datetime.now(UTC) - timedelta(minutes=minutes_ago),
        game_ids=(game_id,),
    )


def _instant(sequence: int) -> datetime:
    return FIRST_SECOND + timedelta(minutes=sequence, microseconds=sequence)
