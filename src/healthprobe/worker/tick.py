"""The tick: one pass over games, each probed as it falls due. The list may change in the middle."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence

from healthprobe.ports import Prober
from healthprobe.worker.agenda import Agenda
from healthprobe.worker.lanes import Judge, Lanes
from healthprobe.worker.news import News
from healthprobe.worker.roster import WatchedGame

_PACE = 0.005
"""The least time, in seconds, between two looks at what is due: probes start in small groups, which costs less."""

_GROUP = 32
"""The most probes begun between two turns of the loop: when many are due at once, a turn must stay short, or the loop
would stall and its stall make their outcomes inconclusive."""


class Tick:
    """One pass over `games`, which with `phases` are due so many seconds after `began`, and without all at once.

    At most `limit` probes are in flight. `judge` is told each outcome and must not raise. For `open_for` seconds after
    `began` there may come more.
    """

    def __init__(
        self,
        games: Sequence[WatchedGame],
        phases: Sequence[float] | None,
        prober: Prober,
        judge: Judge,
        *,
        began: float,
        limit: int,
        probe_timeout: float,
        monotonic: Callable[[], float],
        open_for: float = 0.0,
    ) -> None:
        self._agenda = Agenda(games, phases, began)
        self._lanes = Lanes(self._agenda, prober, judge, limit=limit, probe_timeout=probe_timeout, monotonic=monotonic)
        self._open_until = began + open_for
        self._monotonic = monotonic
        self._changed = News()

    @property
    def in_flight(self) -> int:
        """How many probes are in flight."""
        return self._lanes.busy

    @property
    def limit(self) -> int:
        """How many there may be."""
        return self._lanes.limit

    async def run(self) -> None:
        """Returns when every game that fell due is judged."""
        agenda = self._agenda
        async with self._lanes as lanes:
            while not agenda.is_done or self._monotonic() < self._open_until:
                now = self._monotonic()
                waiting = agenda.waiting(now)
                begun = lanes.begin(min(waiting, _GROUP))
                if begun < waiting:
                    await asyncio.sleep(0 if begun == _GROUP else _PACE)
                elif not agenda.ends_with(waiting):
                    await self._until(now + agenda.until_next(now, beyond=waiting))
                elif now < self._open_until:
                    await self._until(self._open_until)
                else:
                    break
            await lanes.all_judged()

    def go_on_with(
        self, games: Sequence[WatchedGame], phases: Sequence[float], limit: int, late: Iterable[WatchedGame] = ()
    ) -> None:
        """From now on these games, with at most `limit` probes in flight.

        What has had its turn has had it; those that are `late` have theirs now.
        """
        self._agenda.replace(games, phases, late)
        self._lanes.limit = limit
        self._changed.tell()

    async def _until(self, due: float) -> None:
        seconds = due - self._monotonic()
        if seconds > _PACE:
            await self._changed.pause(seconds)
        else:
            await asyncio.sleep(_PACE)
