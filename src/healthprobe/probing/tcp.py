"""The TCP prober: whether an engine can be connected to, and where its settings say so, whether it answers a word."""

from __future__ import annotations

import asyncio
import errno
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from healthprobe._util.text import quoted
from healthprobe.domain.endpoint import Endpoint
from healthprobe.domain.outcome import HEALTHY, Failed, FailureKind, ProbeOutcome
from healthprobe.domain.target import ProbeTarget
from healthprobe.probing.dialer import Dialer, Progress, with_number
from healthprobe.probing.errors import outcome_of_error
from healthprobe.probing.pool import ConnectionPool
from healthprobe.probing.response import BODY_LIMIT
from healthprobe.probing.tls import Trust

_AT_ONCE = 16 * 1024


class TcpProber:
    """A Prober for targets of the kind tcp: a connection a probe, over TLS where the endpoint is https or its settings
    have `tls`. It shares the pool, and so the budget of descriptors, with whoever else probes.
    """

    def __init__(self, pool: ConnectionPool, dialer: Dialer, trust: Trust) -> None:
        self._loop = asyncio.get_running_loop()
        self._pool = pool
        self._dialer = dialer
        self._trust = trust

    async def probe(self, target: ProbeTarget) -> ProbeOutcome:
        """One probe of `target`, which ends at most 50 ms after its timeout, whatever the engine does."""
        endpoint = target.endpoint
        if isinstance(endpoint, Failed):
            return endpoint
        progress = Progress()
        limit = asyncio.timeout(target.timeout)
        try:
            async with limit, self._connected(target, endpoint, progress) as (reader, writer):
                return await self._exchange(target, reader, writer, progress)
        except Exception as error:  # noqa: BLE001  whatever an engine or our own code raises, it is an outcome
            return progress.timed_out(target.timeout) if limit.expired() else outcome_of_error(error)

    def forget(self, target: ProbeTarget) -> None:
        """Nothing is kept."""

    @asynccontextmanager
    async def _connected(
        self, target: ProbeTarget, endpoint: Endpoint, progress: Progress
    ) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """A connection to the first address that takes one, within the budget; each has an equal share of the time."""
        deadline = self._loop.time() + target.timeout
        progress.enter("resolving the name")
        addresses = await self._dialer.addresses(endpoint)
        progress.enter("waiting for a free file descriptor", own_fault=True)
        place = _Place()
        await self._pool.admit(place)
        try:
            progress.enter("connecting")
            reader, writer = await self._open(target, endpoint, addresses, deadline)
            place.writer = writer
            try:
                yield reader, writer
            finally:
                writer.transport.abort()
        finally:
            self._pool.closed(place)

    async def _open(
        self, target: ProbeTarget, endpoint: Endpoint, addresses: tuple[str, ...], deadline: float
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if endpoint.socket is not None:
            return await asyncio.open_unix_connection(endpoint.socket)
        context, name = self._tls_of(target, endpoint)
        first_error: OSError | None = None
        for position, address in enumerate(addresses, start=1):
            share = (deadline - self._loop.time()) / (len(addresses) - position + 1)
            try:
                async with asyncio.timeout(share if position < len(addresses) else None):
                    return await asyncio.open_connection(address, endpoint.port, ssl=context, server_hostname=name)
            except OSError as error:
                first_error = first_error or with_number(error)
        raise first_error or OSError(errno.EHOSTUNREACH, "no address")

    def _tls_of(self, target: ProbeTarget, endpoint: Endpoint) -> tuple[ssl.SSLContext | None, str | None]:
        tls = target.settings.tls
        if tls is None and endpoint.scheme != "https":
            return None, None
        return self._trust.context(tls), (tls and tls.server_name) or endpoint.host

    async def _exchange(
        self, target: ProbeTarget, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, progress: Progress
    ) -> ProbeOutcome:
        """Say what is to be said, and listen for what is expected."""
        settings = target.settings
        if settings.send:
            progress.enter("sending")
            writer.write(settings.send.encode())
            await writer.drain()
        wanted = settings.expect.body_contains
        if wanted is None:
            return HEALTHY
        progress.enter(f"waiting for {quoted(wanted)}")
        received = b""
        while wanted.encode() not in received:
            if len(received) >= BODY_LIMIT:
                return Failed(
                    0, f"the first {BODY_LIMIT // 1024} KiB do not contain {quoted(wanted)}", FailureKind.BODY
                )
            data = await reader.read(_AT_ONCE)
            if not data:
                return Failed(0, f"connection closed before {quoted(wanted)}", FailureKind.CLOSED)
            received += data
        return HEALTHY


class _Place:
    """What a pool counts as an open connection."""

    def __init__(self) -> None:
        self.writer: asyncio.StreamWriter | None = None

    def abort(self) -> None:
        if self.writer is not None:
            self.writer.transport.abort()
