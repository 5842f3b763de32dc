"""The numbers of games by the value of one label and by condition, for metrics."""

from __future__ import annotations

from collections import Counter

from healthprobe._util.aio import cooperative_iter
from healthprobe.domain.fleet_status import Condition
from healthprobe.status.cells import CONDITIONS, Cells

MOST_VALUES = 100
"""How many values of the label are counted by themselves."""

OTHER = "other"
"""Stands for every value beyond these."""

_PORTION = 5_000


class LabelCounts:
    """Counts the games by the value of `label`, empty where a game has none. The first 100 values have counts.

    A value keeps its place as long as a game has it. The others are counted together as `other`.
    """

    def __init__(self, label: str) -> None:
        self.label = label
        self._games: dict[str, dict[Condition, int]] = {}
        self._version: int | None = None

    @property
    def games(self) -> dict[str, dict[Condition, int]]:
        """The number of games by value and condition, at the last update."""
        return self._games

    async def update(self, cells: Cells) -> None:
        """Counts anew if the cells have changed. Lets other tasks run."""
        if cells.version == self._version:
            return
        self._version = cells.version
        counted: Counter[tuple[int, int]] = Counter()
        async for first in cooperative_iter(range(0, len(cells.games), _PORTION), size=1):
            last = first + _PORTION
            counted.update(zip(map(id, cells.labels[first:last]), cells.conditions[first:last], strict=True))
        values = {id(labels): labels.get(self.label, "") for labels in cells.labels}
        found: dict[str, Counter[Condition]] = {}
        for (of_labels, number), games in counted.items():
            if number < len(CONDITIONS):
                found.setdefault(values[of_labels], Counter())[CONDITIONS[number]] += games
        self._games = _limited(found, self._games)


def _limited(
    found: dict[str, Counter[Condition]], before: dict[str, dict[Condition, int]]
) -> dict[str, dict[Condition, int]]:
    """Returns the counts of at most 100 values, those known `before` first, and of all others together."""
    known = [value for value in before if value in found and value != OTHER]
    own = dict.fromkeys([*known, *sorted(found.keys() - known - {OTHER})][:MOST_VALUES])
    others: Counter[Condition] = Counter()
    for value in found.keys() - own:
        others.update(found[value])
    games = {value: {condition: found[value][condition] for condition in CONDITIONS} for value in own}
    return games | {OTHER: {condition: others[condition] for condition in CONDITIONS}} if others else games
