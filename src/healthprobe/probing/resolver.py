"""Names to addresses: resolved by c-ares on the loop itself, each name once for all who ask, and remembered."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Protocol

import aiodns
import pycares

from healthprobe.domain.outcome import FailureKind
from healthprobe.probing.errors import NamedFailure

_SHORTEST_LIFE = 5.0
_LONGEST_LIFE = 60.0
_PATIENCE = 0.05
"""How long a lookup is waited for, in seconds, where an older answer is at hand: a small part of the timeout of whoever
asks, for it still has to probe."""

_MOST_NAMES = 50_000
_NO_SUCH_NAME = frozenset({pycares.errno.ARES_ENOTFOUND, pycares.errno.ARES_ENODATA, pycares.errno.ARES_EBADNAME})


class UnresolvableName(NamedFailure):
    """The name has no address, or nobody could tell. The message says which."""

    kind = FailureKind.NAME


class Resolver(Protocol):
    """Whatever turns a host name into addresses."""

    async def addresses(self, host: str) -> tuple[str, ...]:
        """The addresses of `host`, in order of preference. Raises UnresolvableName."""
        ...

    async def aclose(self) -> None:
        """Let go of sockets and lookups under way."""
        ...


@dataclass(frozen=True, slots=True)
class _Known:
    addresses: tuple[str, ...]
    fresh_until: float


@dataclass(frozen=True, slots=True)
class _Lookup:
    task: asyncio.Task[tuple[str, ...]]
    waited_for_until: float


class CachingResolver:
    """The system's name servers and hosts file, asked without threads.

    An answer lives as long as its record says, between 5 and 60 seconds. Where the name servers themselves fail or are
    silent, the last good answer stays in force: that is no fault of the engine's. A name that does not exist is asked
    for anew each time.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._channel: aiodns.DNSResolver | None = None
        self._known: dict[str, _Known] = {}
        self._lookups: dict[str, _Lookup] = {}

    async def addresses(self, host: str) -> tuple[str, ...]:
        known = self._known.get(host)
        if known is not None and self._loop.time() < known.fresh_until:
            return known.addresses
        lookup = self._lookups.get(host) or self._begin(host)
        if known is not None:
            await asyncio.wait({lookup.task}, timeout=max(lookup.waited_for_until - self._loop.time(), 0.0))
            if not lookup.task.done():
                return known.addresses
        return await asyncio.shield(lookup.task)

    async def aclose(self) -> None:
        for lookup in list(self._lookups.values()):
            lookup.task.cancel()
        if self._channel is not None:
            await self._channel.close()

    def _begin(self, host: str) -> _Lookup:
        task = self._loop.create_task(self._look_up(host))
        task.add_done_callback(lambda done: self._forget_lookup(host, done))
        lookup = self._lookups[host] = _Lookup(task, self._loop.time() + _PATIENCE)
        return lookup

    async def _look_up(self, host: str) -> tuple[str, ...]:
        if self._channel is None:
            self._channel = aiodns.DNSResolver()
        try:
            answer = await self._channel.getaddrinfo(host, type=1)
        except aiodns.error.DNSError as error:
            return self._without_answer(host, error)
        nodes = answer.nodes
        found = tuple(dict.fromkeys(_text(node.addr[0]) for node in nodes))
        if not found:
            raise UnresolvableName(f"cannot resolve the name {host}: it has no address")
        life = min(max(min(node.ttl for node in nodes), _SHORTEST_LIFE), _LONGEST_LIFE)
        if len(self._known) >= _MOST_NAMES:
            self._known.clear()
        self._known[host] = _Known(found, self._loop.time() + life)
        return found

    def _without_answer(self, host: str, error: aiodns.error.DNSError) -> tuple[str, ...]:
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
            lookup.exception()  # retrieved here too, since all who asked may have run into their deadlines


def _text(address: str | bytes) -> str:
    return address.decode("ascii") if isinstance(address, bytes) else address
