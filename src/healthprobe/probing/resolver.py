"""The resolver: looks names up as the system does, once for concurrent probes, and caches the addresses."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import aiodns
import pycares

from healthprobe.domain.outcome import FailureKind
from healthprobe.probing.errors import ProbeError
from healthprobe.probing.system_names import (
    Service,
    SystemFiles,
    SystemLookups,
    raise_if_out_of_descriptors,
    raise_if_unreachable,
)

_MIN_TTL = 1.0
_MAX_TTL = 300.0
_SYSTEM_TTL = 10.0
"""How long an answer of getaddrinfo holds, in seconds: it has no TTL."""

_FLUSH_INTERVAL = 1.0
_LOOPBACK = ("127.0.0.1", "::1")
"""What `localhost` means where the hosts file does not say, without a question to anybody (RFC 6761)."""

_STALE_WAIT = 0.05
"""How long to wait for a lookup if an expired answer is known, in seconds: the probe needs the rest of its timeout."""

_MAX_NAMES = 50_000
_NO_SUCH_NAME = frozenset({pycares.errno.ARES_ENOTFOUND, pycares.errno.ARES_ENODATA, pycares.errno.ARES_EBADNAME})
_NO_SUCH_NAME_IN_SYSTEM = frozenset({socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)})


class UnresolvableName(ProbeError):
    """The name has no address, or the lookup failed. The message says which; `is_certain` if there is no such name."""

    kind = FailureKind.NAME

    def __init__(self, host: str, why: str, *, is_certain: bool = False) -> None:
        super().__init__(f"cannot resolve the name {host}: {why}")
        self.is_certain = is_certain


class Resolver(Protocol):
    """Turns host names into addresses."""

    async def addresses(self, host: str) -> tuple[str, ...]:
        """Returns the addresses of `host` in order of preference. Raises UnresolvableName."""
        ...

    def holds_until(self, host: str) -> float:
        """Returns the loop's time at which `host` must be looked up again; a time that is over if that is now."""
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
    """Resolves names as the system's getaddrinfo does, and remembers the answers.

    The hosts file comes first. The name servers are asked by c-ares on the loop where nsswitch.conf has them next, so
    that any number of slow look-ups delays no other; in all other configurations getaddrinfo is called in a thread.

    An answer of the name servers is cached for its TTL, but at least 1 second and at most 5 minutes, one of getaddrinfo
    for 10 seconds, and the hosts file until it changes. While the name servers fail or do not answer, the last good
    answer is used, because that is not the engine's fault. A name that does not exist is looked up again each time.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._channel: aiodns.DNSResolver | None = None
        self._files = SystemFiles()
        self._system = SystemLookups()
        self._next_flush = 0.0
        self._known: dict[str, _CachedAnswer] = {}
        self._lookups: dict[str, _Lookup] = {}

    async def addresses(self, host: str) -> tuple[str, ...]:
        now = self._loop.time()
        before = self._files.hosts
        if self._files.refresh(now):
            self._forget_hosts(before)
            if self._channel is not None:
                self._channel._channel.reinit()  # noqa: SLF001  reads resolv.conf again; aiodns has no name for it
        address = self._files.hosts.get(host)
        if address is not None:
            return (address,)
        known = self._known.get(host)
        if known is not None and now < known.expires_at:
            return known.addresses
        lookup = self._lookups.get(host) or self._start(host)
        if known is not None:
            await asyncio.wait({lookup.task}, timeout=max(lookup.stale_after - self._loop.time(), 0.0))
            if not lookup.task.done():
                return known.addresses
        return await asyncio.shield(lookup.task)

    def holds_until(self, host: str) -> float:
        known = self._known.get(host)
        return 0.0 if known is None or host in self._files.hosts else known.expires_at

    async def aclose(self) -> None:
        for lookup in list(self._lookups.values()):
            lookup.task.cancel()
        if self._channel is not None:
            await self._channel.close()

    def _forget_hosts(self, before: Mapping[str, str | None]) -> None:
        """Forgets the answers that came from the hosts file as it was, or that it now has others for."""
        for hosts in (before, self._files.hosts):
            for name, address in hosts.items():
                if address is None:
                    self._known.pop(name, None)

    def _start(self, host: str) -> _Lookup:
        task = self._loop.create_task(self._look_up(host))
        task.add_done_callback(lambda done: self._forget_lookup(host, done))
        lookup = self._lookups[host] = _Lookup(task, self._loop.time() + _STALE_WAIT)
        return lookup

    async def _look_up(self, host: str) -> tuple[str, ...]:
        try:
            found, ttl = await self._ask(host)
        except Exception as error:
            known = self._known.get(host)
            if known is None or (isinstance(error, UnresolvableName) and error.is_certain):
                self._known.pop(host, None)
                raise
            return known.addresses
        if len(self._known) >= _MAX_NAMES:
            self._known.clear()
        self._known[host] = _CachedAnswer(found, self._loop.time() + ttl)
        return found

    async def _ask(self, host: str) -> tuple[tuple[str, ...], float]:
        """Returns the addresses of `host` and how long they hold, in seconds.

        Raises UnresolvableName, OwnFault, or OSError where descriptors run short.
        """
        if host in self._files.hosts:
            return await self._ask_system(host), _MAX_TTL  # or until the file changes
        service = self._files.service_for(host)
        is_loopback = f".{host}".rstrip(".").endswith(".localhost")
        if is_loopback and service is not Service.SYSTEM:
            return _LOOPBACK, _MAX_TTL
        if service is not Service.SYSTEM:
            try:
                return await self._ask_name_servers(host)
            except UnresolvableName as error:
                if service is Service.DNS or not error.is_certain:
                    raise
        return await self._ask_system(host), _SYSTEM_TTL

    async def _ask_name_servers(self, host: str) -> tuple[tuple[str, ...], float]:
        if self._channel is None:
            self._channel = aiodns.DNSResolver(lookups="b")  # never its own reading of the hosts file
        try:
            answer = await self._channel.getaddrinfo(host, type=socket.SOCK_STREAM)
        except aiodns.error.DNSError as error:
            if error.args[0] in _NO_SUCH_NAME:
                self._forget_absent_names(self._channel)
                raise UnresolvableName(host, "no such name", is_certain=True) from None
            if error.args[0] == pycares.errno.ARES_ECONNREFUSED:
                raise_if_unreachable(self._channel.nameservers)
            raise UnresolvableName(host, str(error.args[-1]).lower()) from None
        found = tuple(dict.fromkeys(_decode(node.addr[0]) for node in answer.nodes))
        if not found:
            raise UnresolvableName(host, "it has no address")
        ttls = [node.ttl for node in answer.nodes] + [alias.ttl for alias in answer.cnames]
        return found, min(max(min(ttls), _MIN_TTL), _MAX_TTL)

    def _forget_absent_names(self, channel: aiodns.DNSResolver) -> None:
        """Empties the cache of c-ares, at most once a second: it remembers for hours that a name does not exist."""
        now = self._loop.time()
        if now >= self._next_flush:
            self._next_flush = now + _FLUSH_INTERVAL
            channel._channel.reinit()  # noqa: SLF001

    async def _ask_system(self, host: str) -> tuple[str, ...]:
        try:
            return await self._system.addresses(host)
        except socket.gaierror as error:
            raise_if_out_of_descriptors()  # the C library may call that an unknown name
            if error.errno in _NO_SUCH_NAME_IN_SYSTEM:
                raise UnresolvableName(host, "no such name", is_certain=True) from None
            if error.errno == socket.EAI_MEMORY:
                raise MemoryError from None
            raise UnresolvableName(host, (error.strerror or str(error)).lower()) from None

    def _forget_lookup(self, host: str, lookup: asyncio.Task[tuple[str, ...]]) -> None:
        del self._lookups[host]
        if not lookup.cancelled():
            lookup.exception()  # marks it as retrieved: all waiting probes may have timed out


def _decode(address: str | bytes) -> str:
    return address.decode("ascii") if isinstance(address, bytes) else address
