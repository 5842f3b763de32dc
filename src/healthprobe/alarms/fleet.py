"""The fleet as alarms see it: the labels of the games in the last complete listing, and how many a group has."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from healthprobe._util.aio import cooperative_iter
from healthprobe.domain.alarms.alerting import Group
from healthprobe.domain.endpoint import InvalidEndpoint, parse_endpoint
from healthprobe.domain.record import RuntimeRecord

_AT_ONCE = 1_000
"""How many records are looked at between two turns of the loop: none of them is parsed."""


class Fleet:
    """Looks games up in `listing()`, which is () before the first listing.

    A listing is searched once for each game that is asked for, and counted only where a group may be in trouble.
    """

    def __init__(self, listing: Callable[[], Sequence[RuntimeRecord]]) -> None:
        self._listing = listing
        self._read: Sequence[RuntimeRecord] | None = None
        self._searched: set[str] = set()
        self._labels: dict[str, Mapping[str, str]] = {}
        self._sizes: dict[Group, int] = {}

    async def read(self, game_ids: Collection[str]) -> bool:
        """Looks these games up in the listing of now. Returns whether there is one."""
        listing = self._listing()
        if listing == ():  # an empty one is a list
            return False
        if listing is not self._read:
            self._read = listing
            self._searched, self._labels, self._sizes = set(), {}, {}
        wanted = set(game_ids) - self._searched
        if wanted:
            async for record in cooperative_iter(listing, _AT_ONCE):
                if record.game_id in wanted and record.game_id not in self._labels:
                    self._labels[record.game_id] = labels_of(record)
            self._searched |= wanted
        return True

    @property
    def listing(self) -> Sequence[RuntimeRecord] | None:
        """The listing that was read last."""
        return self._read

    def labels(self, game_id: str) -> Mapping[str, str] | None:
        """Returns the labels of a game that was looked up, with `game_id` and `host`; None if it is not listed."""
        return self._labels.get(game_id)

    async def sizes(self, groups: Collection[Group]) -> Mapping[Group, int]:
        """Returns how many games of the listing that was read each of `groups` has."""
        missing = set(groups) - self._sizes.keys()
        if missing and self._read is not None:
            sizes = dict.fromkeys(missing, 0)
            names = {name for name, _ in missing}
            async for record in cooperative_iter(self._read):
                labels = labels_of(record)
                for name in names:
                    if (group := (name, labels.get(name, ""))) in sizes:
                        sizes[group] += 1
            self._sizes.update(sizes)
        return {group: self._sizes.get(group, 0) for group in groups}


def labels_of(record: RuntimeRecord) -> dict[str, str]:
    """Returns the labels of a record's alerts: its own, its `game_id` and the `host` of its endpoint.

    A label of the record with one of these two names is not used: silences, groups and the page go by the endpoint.

    >>> labels_of(RuntimeRecord("game-7", "", "http://10.0.0.1:8080"))
    {'host': '10.0.0.1', 'game_id': 'game-7'}
    """
    try:
        host = parse_endpoint(record.engine_endpoint).host
    except InvalidEndpoint:
        host = ""
    return {**record.labels, **({"host": host} if host else {}), "game_id": record.game_id}
