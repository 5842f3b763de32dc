"""The pool: every open connection against the budget of file descriptors, and the idle ones by their target."""

from __future__ import annotations

import asyncio
import os
import resource
from collections import deque
from collections.abc import Container
from typing import Protocol

from healthprobe.domain.target import ProbeTarget
from healthprobe.probing.connection import EngineConnection

_HEADROOM = 64
"""Descriptors left for databases, name servers, standard streams and connections that are just closing."""


_TIGHT_SHARE = 0.9
"""The share of the budget above which connections are ordered by their use."""


def descriptors_to_spend() -> int:
    """How many connections this process may hold: its soft limit, less what it has open and some headroom."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        limit = 1 << 20
    in_use = len(os.listdir("/dev/fd"))  # noqa: PTH208  once a process, before the loop has anything to do
    return max(limit - in_use - _HEADROOM, limit // 4, 1)


class Pooled(Protocol):
    """What has a descriptor, and can be made to give it up."""

    def abort(self) -> None: ...


class ConnectionPool:
    """At most `budget` connections are open at once; above it the idle one that was used least recently is closed.

    A connection is only kept for a target that is `wanted`: one may be forgotten while its probe is under way.
    Where none is idle, whoever wants one more waits for one to end: nothing fails for want of a descriptor.
    """

    def __init__(self, budget: int, wanted: Container[ProbeTarget]) -> None:
        self.budget = budget
        self._tight = budget * _TIGHT_SHARE
        self._wanted = wanted
        self._open: set[Pooled] = set()
        self._kept: dict[ProbeTarget, EngineConnection] = {}
        self._waiting: deque[asyncio.Future[None]] = deque()

    def __len__(self) -> int:
        return len(self._open)

    def take(self, target: ProbeTarget) -> EngineConnection | None:
        """The idle connection of `target`, which is now in use, or None."""
        connection = self._kept.get(target)
        if connection is None or not connection.is_idle:
            return None
        connection.is_idle = False
        return connection

    async def admit(self, connection: Pooled) -> None:
        """Count `connection` as open; returns when there is a descriptor for it."""
        while len(self._open) >= self.budget:
            place = asyncio.get_running_loop().create_future()
            self._waiting.append(place)
            self.close_oldest()
            try:
                await place
            except asyncio.CancelledError:
                self._pass_on(place)
                raise
        self._open.add(connection)

    def keep(self, connection: EngineConnection) -> None:
        """`connection` is idle: its target's next probe may take it, unless somebody waits for its descriptor."""
        if self._waiting or not (connection.is_kept or self._take_in(connection)):
            connection.abort()
            return
        connection.is_idle = True
        if len(self._open) >= self._tight:
            # Only then does anybody ask for the order of use, and keeping it costs every probe.
            self._kept[connection.target] = self._kept.pop(connection.target)

    def closed(self, connection: Pooled) -> None:
        """`connection` has no descriptor any more."""
        self._open.discard(connection)
        if isinstance(connection, EngineConnection) and connection.is_kept:
            self._let_go(connection)
        self._admit_next()

    def close_oldest(self) -> bool:
        """Close the idle connection that was used least recently; False where none is idle."""
        for connection in self._kept.values():
            if connection.is_idle:
                self._let_go(connection)
                connection.abort()
                return True
        return False

    def forget(self, target: ProbeTarget) -> None:
        connection = self._kept.get(target)
        if connection is not None:
            is_idle = connection.is_idle
            self._let_go(connection)
            if is_idle:
                connection.abort()

    def close(self) -> None:
        """Give every connection up."""
        for connection in list(self._open):
            connection.abort()

    async def all_closed(self) -> None:
        """Returns when no connection is open."""
        while self._open:  # noqa: ASYNC110  a socket is closed in the loop's next turn or the one after
            await asyncio.sleep(0)

    def _take_in(self, connection: EngineConnection) -> bool:
        """Make `connection` the one that is kept for its target, if that is still wanted."""
        if connection.target not in self._wanted:
            return False
        self.forget(connection.target)
        self._kept[connection.target] = connection
        connection.is_kept = True
        return True

    def _let_go(self, connection: EngineConnection) -> None:
        del self._kept[connection.target]
        connection.is_kept = connection.is_idle = False

    def _admit_next(self) -> None:
        while self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(None)
                return

    def _pass_on(self, place: asyncio.Future[None]) -> None:
        """A place that was given to somebody who left is the next one's."""
        if place.done() and not place.cancelled():
            self._admit_next()
        elif place in self._waiting:
            self._waiting.remove(place)
