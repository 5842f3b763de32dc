"""The runtime record: what the platform says about one game."""

from __future__ import annotations

from dataclasses import dataclass

RUNNING = "running"
"""The one status whose records are probed."""


@dataclass(frozen=True, slots=True)
class RuntimeRecord:
    """One game as its platform describes it.

    `game_id` is the key and is never empty. `current_container_id` tells one start of the game from the next and may be
    empty where a platform has no containers. `engine_endpoint` is kept as it was written: whether it can be probed is
    the endpoint's matter (`domain.endpoint`), so that one bad row never hides the others.
    """

    game_id: str
    current_container_id: str
    engine_endpoint: str
    status: str = RUNNING


def distinct_games(records: list[RuntimeRecord]) -> tuple[dict[str, RuntimeRecord], frozenset[str]]:
    """The first record of each game by game id, and the ids that were listed more than once.

    A game listed twice would count twice a tick, and one healthy and one failing endpoint would flap for ever.

    >>> games, repeated = distinct_games([RuntimeRecord("a", "c1", "http://h:1"), RuntimeRecord("a", "c2", "http://h:2")])
    >>> games["a"].current_container_id, sorted(repeated)
    ('c1', ['a'])
    """
    games: dict[str, RuntimeRecord] = {}
    for record in records:
        games.setdefault(record.game_id, record)
    if len(games) == len(records):
        return games, frozenset()
    seen: set[str] = set()
    repeated: set[str] = set()
    for record in records:
        (repeated if record.game_id in seen else seen).add(record.game_id)
    return games, frozenset(repeated)
