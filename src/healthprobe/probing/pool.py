"""The connection pool: counts open connections against a budget of descriptors and keeps idle ones by target."""

from __future__ import annotations

import asyncio
import os
import resource
from collections import deque
from collections.abc import Container
from typing import Protocol

from healthprobe.domain.target import ProbeTarget
from healthprobe.probing.connection import EngineConnection

_RESERVED_DESCRIPTORS = 64
"""Descriptors reserved for databases, name servers, standard streams and connections being closed."""

_TIGHT_SHARE = 0.9
"""The share of the budget above which kept connections are ordered by their last use."""


def default_budget() -> int:
    """Returns how many connections this process may have: its soft limit less the open descriptors and a reserve."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        limit = 1 << 20
    in_use = len(os.listdir("/dev/fd"))  # noqa: PTH208  once per process, before the loop has work
    return max(limit - in_use - _RESERVED_DESCRIPTORS, limit // 4, 1)


class Pooled(Protocol):
    """Something with a descriptor that the pool counts."""

    def abort(self) -> None: ...


class ConnectionPool:
    """At most `budget` open connections; to open one more, the least recently used idle one is closed.

    If none is idle, `admit` waits until one is closed: no probe fails for lack of a descriptor. A connection is kept
    only if its target is in `wanted`, because a target may be forgotten while its probe runs.
    """

    def __init__(self, budget: int, wanted: Container[ProbeTarget]) -> None:
        self.budget = budget
        self._tight = budget * _TIGHT_SHARE
        self._wanted = wanted
        self._open: set[Pooled] = set()
        self._kept: dict[ProbeTarget, EngineConnection] = {}
        self._waiters: deque[asyncio.Future[None]] = deque()

    def __len__(self) -> int:
        return len(self._open)

    def take(self, target: ProbeTarget) -> EngineConnection | None:
        """Returns the idle connection of `target` and marks it as used, or None."""
        connection = self._kept.get(target)
        if connection is None or not connection.is_idle:
            return None
        connection.is_idle = False
        return connection

    async def admit(self, connection: Pooled) -> None:
        """Waits for a free descriptor and counts `connection` as open."""
        while len(self._open) >= self.budget:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            self.close_oldest()
            try:
                await waiter
            except asyncio.CancelledError:
                if not waiter.cancelled():
                    self._admit_next()
                elif waiter in self._waiters:
                    self._waiters.remove(waiter)
                raise
        self._open.add(connection)

    def keep(self, connection: EngineConnection) -> None:
        """Keeps an idle `connection` for the next probe of its target, unless a probe waits for a descriptor."""
        if self._waiters or not (connection.is_kept or self._add(connection)):
            connection.abort()
            return
        connection.is_idle = True
        if len(self._open) >= self._tight:
            # The order of use matters only then, and each update costs the probe time.
            self._kept[connection.target] = self._kept.pop(connection.target)

    def closed(self, connection: Pooled) -> None:
        """Frees the descriptor of `connection`."""
        self._open.discard(connection)
        if isinstance(connection, EngineConnection) and connection.is_kept:
            self._remove(connection)
        self._admit_next()

    def close_oldest(self) -> bool:
        """Closes the least recently used idle connection. Returns False if none is idle."""
        for connection in self._kept.values():
            if connection.is_idle:
                self._remove(connection)
                connection.abort()
                return True
        return False

    def forget(self, target: ProbeTarget) -> None:
        """Closes the idle connection of `target`, or does not keep the one in use."""
        connection = self._kept.get(target)
        if connection is not None:
            is_idle = connection.is_idle
            self._remove(connection)
            if is_idle:
                connection.abort()

    def close(self) -> None:
        """Aborts every connection."""
        for connection in list(self._open):
            connection.abort()

    async def all_closed(self) -> None:
        """Returns when no connection is open."""
        while self._open:  # noqa: ASYNC110  sockets close within two turns of the loop
            await asyncio.sleep(0)

    def _add(self, connection: EngineConnection) -> bool:
        """Keeps `connection` for its target if that is still wanted."""
        if connection.target not in self._wanted:
            return False
        self.forget(connection.target)
        self._kept[connection.target] = connection
        connection.is_kept = True
        return True

    def _remove(self, connection: EngineConnection) -> None:
        del self._kept[connection.target]
        connection.is_kept = connection.is_idle = False

    def _admit_next(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
