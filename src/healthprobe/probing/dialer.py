"""The dialer: from a target to an open connection, and how far a probe had come when its time was over."""

from __future__ import annotations

import asyncio
import errno
import ssl
from dataclasses import dataclass

from healthprobe.domain.endpoint import Endpoint
from healthprobe.domain.outcome import Failed, FailureKind, Inconclusive
from healthprobe.domain.target import ProbeTarget
from healthprobe.probing.causes import in_words
from healthprobe.probing.connection import EngineConnection
from healthprobe.probing.pool import ConnectionPool
from healthprobe.probing.precedent import Precedent
from healthprobe.probing.resolver import Resolver
from healthprobe.probing.sweep import Sweep

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
        cause = f"timed out after {in_words(timeout)} {self.stage}"
        return Inconclusive(cause) if self.own_fault else Failed(0, cause, FailureKind.TIMEOUT)


class Dialer:
    """Opens connections within the pool's budget. Raises OSError, ssl.SSLError or UnresolvableName where it cannot."""

    def __init__(self, pool: ConnectionPool, resolver: Resolver, tls: ssl.SSLContext | None) -> None:
        self._loop = asyncio.get_running_loop()
        self._pool = pool
        self._resolver = resolver
        self._tls = tls
        self._sweep = Sweep(self._loop)
        self._precedent = Precedent()

    async def connect(
        self, target: ProbeTarget, endpoint: Endpoint, progress: Progress, deadline: float
    ) -> EngineConnection:
        """A connection to the first address of `endpoint` that takes one; the error is that of the first address.

        Each address has an equal share of the time left, so that one that never answers leaves some to the next.
        """
        if is_address(endpoint.host):
            return await self._open(target, endpoint, endpoint.host, progress)
        addresses = await self._resolver.addresses(endpoint.host)
        first_error: OSError | None = None
        for position, address in enumerate(addresses, start=1):
            share = (deadline - self._loop.time()) / (len(addresses) - position + 1)
            try:
                async with asyncio.timeout(share if position < len(addresses) else None):
                    return await self._open(target, endpoint, address, progress)
            except OSError as error:
                first_error = first_error or with_number(error)
        raise first_error or OSError(errno.EHOSTUNREACH, "no address")

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
        connection = EngineConnection(target, self._pool, self._sweep, self._precedent, self._loop)
        progress.enter("waiting for a free file descriptor", own_fault=True)
        await self._pool.admit(connection)
        try:
            if endpoint.scheme == "https":
                progress.enter("connecting and shaking hands over TLS")
                await self._loop.create_connection(
                    lambda: connection, address, endpoint.port, ssl=self._trust(), server_hostname=endpoint.host
                )
            else:
                progress.enter("connecting")
                await self._loop.create_connection(lambda: connection, address, endpoint.port)
        except BaseException:
            connection.disown()
            raise
        progress.enter("waiting for the response head")
        return connection

    def _trust(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()
        return self._tls


def is_address(host: str) -> bool:
    """Endpoints hold addresses in canonical form, so their characters tell."""
    return ":" in host or host.replace(".", "").isdigit()


def with_number(error: OSError) -> OSError:
    """The timeout of one address's share has no errno of its own."""
    return error if error.errno or not isinstance(error, TimeoutError) else OSError(errno.ETIMEDOUT, "timed out")
