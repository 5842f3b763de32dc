"""Renewal: when a kept connection is given up although it works, so that it cannot hide what a fresh one would meet."""

from __future__ import annotations

import asyncio
from typing import Protocol

from healthprobe.domain.endpoint import Endpoint
from healthprobe.domain.schedule import phase_fraction, until_phase
from healthprobe.domain.target import ProbeTarget
from healthprobe.probing.resolver import Resolver

MAX_AGE = 300.0
"""The greatest age of a kept connection, in seconds, where the run does not say otherwise."""

_SOONEST_REVIEW = 1.0
_SHARE_OF_TIMEOUT = 0.25
"""How much of a probe's timeout a review may take. Name servers that do not answer end no connection."""


class Addresses(Protocol):
    """Returns the addresses of an endpoint that may be probed."""

    async def addresses(self, endpoint: Endpoint) -> tuple[str, ...]: ...


class Kept(Protocol):
    """A connection that is kept between probes, to `address`. Nobody asks about it before `review_at`."""

    address: str
    ends_at: float
    review_at: float


class Renewal:
    """Ends kept connections at their greatest age, and where their address is no longer among those of their name.

    A game's connections end at the same phase of `max_age`, which follows from its id, so that the games of a prober
    that began at once do not connect anew at once.
    """

    def __init__(self, names: Addresses, resolver: Resolver, max_age: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._names = names
        self._resolver = resolver
        self._max_age = max_age

    def begin(self, kept: Kept, target: ProbeTarget, endpoint: Endpoint) -> None:
        """Sets when a fresh connection is reviewed for the first time, and when it ends."""
        now = self._loop.time()
        kept.ends_at = now + until_phase(phase_fraction(target.game_id), now, self._max_age)
        self._set_review(kept, endpoint, now)

    async def is_over(self, kept: Kept, target: ProbeTarget, endpoint: Endpoint) -> bool:
        """Returns whether a connection that is due for review must not be used any more."""
        now = self._loop.time()
        if now >= kept.ends_at:
            return True
        try:
            async with asyncio.timeout(target.timeout * _SHARE_OF_TIMEOUT):
                addresses = await self._names.addresses(endpoint)
        except TimeoutError:
            kept.review_at = now + _SOONEST_REVIEW
            return False
        except Exception:  # noqa: BLE001  a fresh connection meets the same error, and its outcome names it
            return True
        self._set_review(kept, endpoint, now)
        return kept.address not in addresses

    def _set_review(self, kept: Kept, endpoint: Endpoint, now: float) -> None:
        kept.review_at = kept.ends_at
        if kept.address not in (endpoint.host, endpoint.socket):
            holds_until = self._resolver.holds_until(endpoint.host)
            kept.review_at = min(max(holds_until, now + _SOONEST_REVIEW), kept.ends_at)
