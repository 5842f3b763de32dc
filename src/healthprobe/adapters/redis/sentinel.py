"""A primary that Sentinels know: found by redis-py's own client, anew for each connection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool

PORT = 26379
"""The port of a Sentinel, if a URL gives none."""


@dataclass(frozen=True, slots=True)
class Sentinels:
    """The primary `master`, as the Sentinels at `places` (host and port) know it.

    `to_sentinels` and `to_primary` are arguments of redis-py for connections: credentials, database, TLS.
    """

    places: Sequence[tuple[str, int]]
    master: str
    to_sentinels: Mapping[str, Any] = field(repr=False)
    to_primary: Mapping[str, Any] = field(repr=False)

    def client(self, timeout: float, common: Mapping[str, Any]) -> Redis:
        """Returns a client of the primary. `common` are arguments for connections of both kinds.

        The time for one Sentinel is so short that the others are asked, and the primary after them, within `timeout`.
        """
        patience = timeout / (len(self.places) + 1)
        common = {**common, "socket_connect_timeout": timeout, "socket_keepalive": True}
        asked = {**common, **self.to_sentinels, "socket_timeout": patience, "socket_connect_timeout": patience}
        make: Any = Sentinel  # redis-py left it untyped
        client: Redis = make(list(self.places), sentinel_kwargs=asked, **common, **self.to_primary).master_for(
            self.master, connection_pool_class=_Pool
        )
        return client


class _Pool(SentinelConnectionPool):
    """A pool that closes the connections to its Sentinels together with those to the primary."""

    async def disconnect(self, inuse_connections: bool = True) -> None:  # noqa: FBT001, FBT002  redis-py's signature
        await super().disconnect(inuse_connections)
        await self.sentinel_manager.aclose()
