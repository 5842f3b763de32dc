"""The histories: the last outcomes of every game, a byte each."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass

from healthprobe.domain.outcome import HEALTHY, Failed, FailureKind, ProbeOutcome
from healthprobe.status.counters import BOUNDS, Counters

OUTCOMES = 100
"""How many of a game's last outcomes are remembered."""

_NONE = 0
_SLOWEST = len(BOUNDS) + 1
_INCONCLUSIVE = _SLOWEST + 1
_FAILED = _INCONCLUSIVE + 1
_KINDS = tuple(FailureKind)
_CODES = {kind: _FAILED + number for number, kind in enumerate(_KINDS)}


@dataclass(frozen=True, slots=True)
class Remembered:
    """One outcome: `healthy`, `inconclusive` or the kind of its failure. `duration` is seconds, to within an eighth.

    A failure has no duration here: how long a timeout took says nothing.
    """

    outcome: str
    duration: float | None = None


class Histories(Counters):
    """A Counters that also remembers the last outcomes of each game, in a ring of bytes: adding one is one store."""

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
            self._record_trouble(outcome)
            if isinstance(outcome, Failed):
                code = _CODES[outcome.kind]
                self._last_failures[game_id] = outcome
            else:
                code = _INCONCLUSIVE
        self._duration_counts[bucket] += 1
        self._lateness_counts[bisect_left(BOUNDS, lateness)] += 1
        ring = self._rings.get(game_id)
        if ring is None:
            ring = self._rings[game_id] = bytearray(OUTCOMES + 1)
        at = ring[OUTCOMES]
        ring[at] = code
        ring[OUTCOMES] = at + 1 if at + 1 < OUTCOMES else 0

    def __contains__(self, game_id: str) -> bool:
        """Whether the game was ever asked."""
        return game_id in self._rings

    def __len__(self) -> int:
        """Of how many games something is remembered."""
        return len(self._rings)

    def of(self, game_id: str) -> list[Remembered]:
        """The last outcomes of a game, the oldest first; none of a game that was never asked."""
        ring = self._rings.get(game_id)
        if ring is None:
            return []
        at = ring[OUTCOMES]
        return [_remembered(code) for code in (*ring[at:OUTCOMES], *ring[:at]) if code != _NONE]

    def last_failure_of(self, game_id: str) -> Failed | None:
        """The last failure of a game, however long ago it was."""
        return self._last_failures.get(game_id)

    def forget(self, game_ids: Iterable[str]) -> None:
        """These are watched no more."""
        for game_id in game_ids:
            self._rings.pop(game_id, None)
            self._last_failures.pop(game_id, None)


def _remembered(code: int) -> Remembered:
    if code == _INCONCLUSIVE:
        return Remembered("inconclusive")
    if code >= _FAILED:
        return Remembered(_KINDS[code - _FAILED].value)
    return Remembered("healthy", BOUNDS[min(code - 1, len(BOUNDS) - 1)])
