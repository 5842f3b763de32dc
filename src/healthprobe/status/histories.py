"""The last probe outcomes of every game, one byte each."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass

from healthprobe.domain.outcome import HEALTHY, Failed, FailureKind, ProbeOutcome
from healthprobe.status.counters import BOUNDS, Counters

OUTCOMES_KEPT = 100
"""How many outcomes are kept for each game."""

_NONE = 0
_SLOWEST = len(BOUNDS) + 1
_INCONCLUSIVE = _SLOWEST + 1
_FAILED = _INCONCLUSIVE + 1
_KINDS = tuple(FailureKind)
_CODES = {kind: _FAILED + number for number, kind in enumerate(_KINDS)}


@dataclass(frozen=True, slots=True)
class PastOutcome:
    """`outcome` is `healthy`, `inconclusive` or the kind of the failure; `duration` is seconds, to within an eighth.

    A failure has no duration: how long a timeout took says nothing.
    """

    outcome: str
    duration: float | None = None


class Histories(Counters):
    """Counters that also keep the last outcomes of each game, in a ring of bytes: recording one is one store."""

    def __init__(self) -> None:
        super().__init__()
        self._rings: dict[str, bytearray] = {}
        self._last_failures: dict[str, Failed] = {}

    def record_probe(self, game_id: str, outcome: ProbeOutcome, duration: float, lateness: float) -> None:
        bucket = bisect_left(BOUNDS, duration)
        if outcome is HEALTHY:
            self.healthy += 1
            code = bucket + 1
        else:
            self._count_other(outcome)
            if isinstance(outcome, Failed):
                code = _CODES[outcome.kind]
                self._last_failures[game_id] = outcome
            else:
                code = _INCONCLUSIVE
        self._duration_counts[bucket] += 1
        self._lateness_counts[bisect_left(BOUNDS, lateness)] += 1
        ring = self._rings.get(game_id)
        if ring is None:
            ring = self._rings[game_id] = bytearray(OUTCOMES_KEPT + 1)
        at = ring[OUTCOMES_KEPT]  # the last byte is the position of the next outcome
        ring[at] = code
        ring[OUTCOMES_KEPT] = at + 1 if at + 1 < OUTCOMES_KEPT else 0

    def __contains__(self, game_id: str) -> bool:
        """Whether the game was ever probed."""
        return game_id in self._rings

    def __len__(self) -> int:
        """The number of games that have a history."""
        return len(self._rings)

    def outcomes_of(self, game_id: str) -> list[PastOutcome]:
        """Returns the last outcomes of a game, the oldest first."""
        ring = self._rings.get(game_id)
        if ring is None:
            return []
        at = ring[OUTCOMES_KEPT]
        return [_decoded(code) for code in (*ring[at:OUTCOMES_KEPT], *ring[:at]) if code != _NONE]

    def last_failure_of(self, game_id: str) -> Failed | None:
        """Returns the last failure of a game, however long ago it was."""
        return self._last_failures.get(game_id)

    def forget(self, game_ids: Iterable[str]) -> None:
        """Drops the histories of games that are no longer watched."""
        for game_id in game_ids:
            self._rings.pop(game_id, None)
            self._last_failures.pop(game_id, None)


def _decoded(code: int) -> PastOutcome:
    if code == _INCONCLUSIVE:
        return PastOutcome("inconclusive")
    if code >= _FAILED:
        return PastOutcome(_KINDS[code - _FAILED].value)
    return PastOutcome("healthy", BOUNDS[min(code - 1, len(BOUNDS) - 1)])
