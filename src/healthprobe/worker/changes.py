"""The changes: games and shards that come or go in the middle of a tick are taken over at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from healthprobe.worker.commit import Committer
from healthprobe.worker.news import News
from healthprobe.worker.roster import RosterChange
from healthprobe.worker.watchlist import Watchlist

_BETWEEN_TAKEOVERS = 0.1
_REST = 4.0
"""The least time, in seconds, between two takeovers in the middle of a tick, and how much longer it is than the last of
them took, without what the log took: where games start all the time, a long list is gone through once a second and not
a hundred times."""

_NEWCOMERS_WAIT = 0.5
"""How long, in seconds, games that start wait at most until the log has told of them: nothing is decided before."""


class Changes:
    """Updates the watchlist whenever it is told of a change, and awaits `go_on_with` with what that has changed.

    `patience` is how many seconds a log that hangs may delay a newcomer. A takeover that breaks is told to `tell_of`;
    the next tick makes up for it.
    """

    def __init__(
        self,
        watchlist: Watchlist,
        committer: Committer,
        go_on_with: Callable[[RosterChange], Awaitable[None]],
        tell_of: Callable[[Exception], None],
        *,
        patience: float,
        monotonic: Callable[[], float],
    ) -> None:
        self._watchlist = watchlist
        self._committer = committer
        self._go_on_with = go_on_with
        self._tell_of = tell_of
        self._patience = min(patience, _NEWCOMERS_WAIT)
        self._monotonic = monotonic
        self._log_took = 0.0
        self._news = News()
        self._moves = News()

    def tell(self) -> None:
        """The list has changed."""
        self._news.tell()

    def tell_of_move(self) -> None:
        """Shards have come or gone: what they have is watched by nobody until we take that over, so no rest is due."""
        self._moves.tell()
        self._news.tell()

    async def run(self) -> None:
        """Take over what changes, until cancelled."""
        while True:
            await self._news.heard()
            heard_at = self._monotonic()
            self._log_took = 0.0
            try:
                await self._take_over()
            except Exception as error:  # noqa: BLE001  the next tick takes it over
                self._tell_of(error)
            rest = _REST * (self._monotonic() - heard_at - self._log_took)
            await asyncio.sleep(_BETWEEN_TAKEOVERS)
            await self._moves.pause(rest)

    async def _take_over(self) -> None:
        change = await self._watchlist.update()
        if change.newcomers:
            asked_at = self._monotonic()
            await self._committer.offer_within(self._patience)
            self._log_took = self._monotonic() - asked_at
        await self._go_on_with(change)
