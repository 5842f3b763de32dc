"""The resolver: looks names up with c-ares on the loop, once for concurrent probes, and caches the addresses."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Protocol

import aiodns
import pycares

from healthprobe.domain.outcome import FailureKind
from healthprobe.probing.errors import ProbeError

_MIN_TTL = 5.0
_MAX_TTL = 60.0
_STALE_WAIT = 0.05
"""How long to wait for a lookup if an expired answer is known, in seconds: the probe needs the rest of its timeout."""

_MAX_NAMES = 50_000
_NO_SUCH_NAME = frozenset({pycares.errno.ARES_ENOTFOUND, pycares.errno.ARES_ENODATA, pycares.errno.ARES_EBADNAME})


class UnresolvableName(ProbeError):
    """The name has no address, or the lookup failed. The message says which."""

    kind = FailureKind.NAME


class Resolver(Protocol):
    """Turns host names into addresses."""

    async def addresses(self, host: str) -> tuple[str, ...]:
        """Returns the addresses of `host` in order of preference. Raises UnresolvableName."""
        ...

    async def aclose(self) -> None:
        """Cancels lookups and closes sockets."""
        ...


@dataclass(frozen=True, slots=True)
class _CachedAnswer:
    addresses: tuple[str, ...]
    expires_at: float


@dataclass(frozen=True, slots=True)
class _Lookup:
    task: asyncio.Task[tuple[str, ...]]
    stale_after: float


class CachingResolver:
    """Uses the system's hosts file and name servers, without threads.

    An answer is cached for its TTL, but at least 5 and at most 60 seconds. While the name servers fail or do not
    answer, the last good answer is used, because that is not the engine's fault. A name that does not exist is looked
    up again each time.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._channel: aiodns.DNSResolver | None = None
        self._known: dict[str, _CachedAnswer] = {}
        self._lookups: dict[str, _Lookup] = {}

    async def addresses(self, host: str) -> tuple[str, ...]:
        known = self._known.get(host)
        if known is not None and self._loop.time() < known.expires_at:
            return known.addresses
        lookup = self._lookups.get(host) or self._start(host)
        if known is not None:
            await asyncio.wait({lookup.task}, timeout=max(lookup.stale_after - self._loop.time(), 0.0))
            if not lookup.task.done():
                return known.addresses
        return await asyncio.shield(lookup.task)

    async def aclose(self) -> None:
        for lookup in list(self._lookups.values()):
            lookup.task.cancel()
        if self._channel is not None:
            await self._channel.close()

    def _start(self, host: str) -> _Lookup:
        task = self._loop.create_task(self._look_up(host))
        task.add_done_callback(lambda done: self._forget_lookup(host, done))
        lookup = self._lookups[host] = _Lookup(task, self._loop.time() + _STALE_WAIT)
        return lookup

    async def _look_up(self, host: str) -> tuple[str, ...]:
        if self._channel is None:
            self._channel = aiodns.DNSResolver()
        try:
            answer = await self._channel.getaddrinfo(host, type=1)
        except aiodns.error.DNSError as error:
            return self._use_stale_answer(host, error)
        nodes = answer.nodes
        found = tuple(dict.fromkeys(_decode(node.addr[0]) for node in nodes))
        if not found:
            raise UnresolvableName(f"cannot resolve the name {host}: it has no address")
        ttl = min(max(min(node.ttl for node in nodes), _MIN_TTL), _MAX_TTL)
        if len(self._known) >= _MAX_NAMES:
            self._known.clear()
        self._known[host] = _CachedAnswer(found, self._loop.time() + ttl)
        return found

    def _use_stale_answer(self, host: str, error: aiodns.error.DNSError) -> tuple[str, ...]:
        if error.args[0] in _NO_SUCH_NAME:
            self._known.pop(host, None)
            raise UnresolvableName(f"cannot resolve the name {host}: no such name") from None
        known = self._known.get(host)
        if known is None:
            raise UnresolvableName(f"cannot resolve the name {host}: {str(error.args[-1]).lower()}") from None
        return known.addresses

    def _forget_lookup(self, host: str, lookup: asyncio.Task[tuple[str, ...]]) -> None:
        del self._lookups[host]
        if not lookup.cancelled():
            lookup.exception()  # marks it as retrieved: all waiting probes may have timed out


def _decode(address: str | bytes) -> str:
    return address.decode("ascii") if isinstance(address, bytes) else address
