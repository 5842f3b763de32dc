"""Games that are gone: when an incident has ended because its game no longer runs, and the note of that."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from healthprobe.domain.event import HealthEvent, format_instant, parse_instant

LISTINGS = 3
"""A game is gone once so many complete listings in a row have not had it."""

GONE = "gone"
"""The kind of the documents that say which incidents have ended, as no event in the log does."""

_LONGEST_NAME = 500


def gone_games(game_ids: Iterable[str], listings: Sequence[Collection[str]]) -> frozenset[str]:
    """Returns those of `game_ids` that are in none of the last complete listings, oldest first, by their games.

    A listing that failed or was partial is not among `listings`. None is gone before there are enough of them.

    >>> sorted(gone_games(["a", "b"], [{"a"}, {"c"}, {"c"}, {"c"}]))
    ['a', 'b']
    >>> sorted(gone_games(["a", "b"], [{"c"}, {"a"}, {"c"}]))
    ['b']
    >>> sorted(gone_games(["a"], [set(), set()]))
    []
    """
    if len(listings) < LISTINGS:
        return frozenset()
    return frozenset(game_ids).difference(*listings[-LISTINGS:])


@dataclass(frozen=True, slots=True)
class GoneIncident:
    """The note that the incident which `sequence` of the game began has ended at `gone_at`, in UTC."""

    game_id: str
    sequence: int
    gone_at: datetime

    @classmethod
    def of(cls, failed: HealthEvent, gone_at: datetime) -> GoneIncident:
        """Returns the note about the incident that began with `failed`."""
        return cls(failed.game_id, failed.sequence, gone_at)

    @property
    def key(self) -> str:
        """The key of its document."""
        name = self.game_id if len(self.game_id) <= _LONGEST_NAME else sha256(self.game_id.encode()).hexdigest()
        return f"{name}:{self.sequence}"

    def as_document(self) -> str:
        """Returns it as the text of a document."""
        return json.dumps(
            {"game_id": self.game_id, "sequence": self.sequence, "gone_at": format_instant(self.gone_at)},
            ensure_ascii=False,
        )


def gone_incidents(documents: Mapping[str, str]) -> dict[tuple[str, int], GoneIncident]:
    """Returns the notes in `documents`, by game and sequence. What another program altered is left out."""
    found: dict[tuple[str, int], GoneIncident] = {}
    for text in documents.values():
        try:
            document = json.loads(text)
            game_id, sequence = document["game_id"], document["sequence"]
            if isinstance(game_id, str) and type(sequence) is int:
                found[game_id, sequence] = GoneIncident(game_id, sequence, parse_instant(document["gone_at"]))
        except (ValueError, TypeError, KeyError, RecursionError):
            continue
    return found
