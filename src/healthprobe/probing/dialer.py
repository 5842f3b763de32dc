"""The dialer: from a target to an open connection, and how far a probe had come when its time was over."""

from __future__ import annotations

import asyncio
import errno
from dataclasses import dataclass

from healthprobe._util.duration import Duration
from healthprobe.domain.endpoint import Endpoint
from healthprobe.domain.networks import Networks
from healthprobe.domain.outcome import Failed, FailureKind, Inconclusive
from healthprobe.domain.target import ProbeTarget
from healthprobe.probing.connection import EngineConnection
from healthprobe.probing.errors import NamedFailure
from healthprobe.probing.expectation import Standards
from healthprobe.probing.pool import ConnectionPool
from healthprobe.probing.resolver import Resolver
from healthprobe.probing.timer_wheel import Sweep
from healthprobe.probing.tls import Trust

_OUT_OF_DESCRIPTORS = frozenset({errno.EMFILE, errno.ENFILE})


@dataclass(slots=True)
class Progress:
    """What a probe on a fresh connection waits for, and whether it is the prober's own fault that it has to."""

    stage: str = "resolving the name"
    own_fault: bool = False

    def enter(self, stage: str, *, own_fault: bool = False) -> None:
        self.stage = stage
        self.own_fault = own_fault

    def timed_out(self, timeout: float) -> Failed | Inconclusive:
        cause = f"timed out after {Duration(timeout)} {self.stage}"
        return Inconclusive(cause) if self.own_fault else Failed(0, cause, FailureKind.TIMEOUT)


class ForbiddenAddress(NamedFailure):
    """Nothing may be sent there. The message says by which option."""

    kind = FailureKind.ENDPOINT


class Dialer:
    """Opens connections within the pool's budget, to no address but those that `networks` allow.

    Raises OSError, ssl.SSLError, UnresolvableName, ForbiddenAddress or UnusableTls where it cannot.
    """

    def __init__(
        self, pool: ConnectionPool, resolver: Resolver, trust: Trust, networks: Networks, standards: Standards
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._pool = pool
        self._resolver = resolver
        self._trust = trust
        self._networks = networks
        self._standards = standards
        self._sweep = Sweep(self._loop)

    async def connect(
        self, target: ProbeTarget, endpoint: Endpoint, progress: Progress, deadline: float
    ) -> EngineConnection:
        """A connection to the first address of `endpoint` that takes one; the error is that of the first address.

        Each address has an equal share of the time left, so that one that never answers leaves some to the next.
        """
        addresses = await self.addresses(endpoint)
        if len(addresses) == 1:
            return await self._open(target, endpoint, addresses[0], progress)
        first_error: OSError | None = None
        for position, address in enumerate(addresses, start=1):
            share = (deadline - self._loop.time()) / (len(addresses) - position + 1)
            try:
                async with asyncio.timeout(share if position < len(addresses) else None):
                    return await self._open(target, endpoint, address, progress)
            except OSError as error:
                first_error = first_error or with_number(error)
        raise first_error or OSError(errno.EHOSTUNREACH, "no address")

    async def addresses(self, endpoint: Endpoint) -> tuple[str, ...]:
        """Where `endpoint` may be connected to: addresses, or the path of its socket.

        Raises UnresolvableName, and ForbiddenAddress where none is left.
        """
        if endpoint.socket is not None:
            if (refusal := self._networks.unix_socket_refusal) is not None:
                raise ForbiddenAddress(refusal)
            return (endpoint.socket,)
        known = (endpoint.host,) if is_address(endpoint.host) else await self._resolver.addresses(endpoint.host)
        if self._networks.allow_all:
            return known
        refusals = {address: self._networks.refusal(address) for address in known}
        allowed = tuple(address for address, refusal in refusals.items() if refusal is None)
        if not allowed:
            raise ForbiddenAddress(next(refusal for refusal in refusals.values() if refusal is not None))
        return allowed

    async def _open(
        self, target: ProbeTarget, endpoint: Endpoint, address: str, progress: Progress
    ) -> EngineConnection:
        try:
            return await self._open_once(target, endpoint, address, progress)
        except OSError as error:
            if error.errno not in _OUT_OF_DESCRIPTORS or not self._pool.close_oldest():
                raise
        await asyncio.sleep(0)  # the closed descriptor is free once the loop has gone round
        return await self._open_once(target, endpoint, address, progress)

    async def _open_once(
        self, target: ProbeTarget, endpoint: Endpoint, address: str, progress: Progress
    ) -> EngineConnection:
        connection = EngineConnection(target, self._pool, self._sweep, self._standards.of(target), self._loop)
        progress.enter("waiting for a free file descriptor", own_fault=True)
        await self._pool.admit(connection)
        try:
            if endpoint.scheme == "https":
                progress.enter("connecting and shaking hands over TLS")
                tls = target.settings.tls
                await self._loop.create_connection(
                    lambda: connection,
                    address,
                    endpoint.port,
                    ssl=self._trust.context(tls),
                    server_hostname=(tls and tls.server_name) or endpoint.host,
                )
            elif endpoint.socket is not None:
                progress.enter("connecting")
                await self._loop.create_unix_connection(lambda: connection, address)
            else:
                progress.enter("connecting")
                await self._loop.create_connection(lambda: connection, address, endpoint.port)
        except BaseException:
            connection.disown()
            raise
        progress.enter("waiting for the response head")
        return connection


def is_address(host: str) -> bool:
    """Endpoints hold addresses in canonical form, so their characters tell."""
    return ":" in host or host.replace(".", "").isdigit()


def with_number(error: OSError) -> OSError:
    """The timeout of one address's share has no errno of its own."""
    return error if error.errno or not isinstance(error, TimeoutError) else OSError(errno.ETIMEDOUT, "timed out")
