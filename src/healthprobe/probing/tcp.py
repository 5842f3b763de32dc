"""The TCP prober: connects to an engine, and where its settings say so, sends a text and waits for an answer."""

from __future__ import annotations

import asyncio

from healthprobe._util.text import quoted
from healthprobe.domain.outcome import HEALTHY, Failed, FailureKind, ProbeOutcome
from healthprobe.domain.target import ProbeTarget
from healthprobe.probing.connection import PooledConnection
from healthprobe.probing.dialer import Dialer, Progress
from healthprobe.probing.errors import classify_error
from healthprobe.probing.pool import ConnectionPool
from healthprobe.probing.response import BODY_LIMIT


class TcpProber:
    """A Prober for targets of the kind tcp. It opens a connection per probe."""

    def __init__(self, pool: ConnectionPool, dialer: Dialer) -> None:
        self._loop = asyncio.get_running_loop()
        self._pool = pool
        self._dialer = dialer

    async def probe(self, target: ProbeTarget) -> ProbeOutcome:
        """Probes `target` once and ends at most 50 ms after its timeout, whatever the engine does."""
        endpoint = target.endpoint
        if isinstance(endpoint, Failed):
            return endpoint
        progress = Progress()
        deadline = self._loop.time() + target.timeout
        connection: TcpConnection | None = None
        limit = asyncio.timeout_at(deadline)
        try:
            async with limit:
                connection = await self._dialer.connect(
                    target, endpoint, progress, deadline, lambda: TcpConnection(self._pool)
                )
                return await _exchange(target, connection, progress)
        except Exception as error:  # noqa: BLE001  any error of an engine or a bug of ours is an outcome
            return progress.timed_out(target.timeout) if limit.expired() else classify_error(error)
        finally:
            if connection is not None:
                connection.disown()

    def forget(self, target: ProbeTarget) -> None:
        """Does nothing: no connection is kept."""

    async def aclose(self) -> None:
        """Does nothing: each probe closes its connection."""


class TcpConnection(PooledConnection):
    """A connection that collects what is received, up to BODY_LIMIT bytes."""

    __slots__ = ("_changed", "error", "is_open", "received")

    def __init__(self, pool: ConnectionPool) -> None:
        super().__init__(pool)
        self.received = b""
        self.is_open = True
        self.error: Exception | None = None
        self._changed = asyncio.Event()

    def send(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    async def wait_for_data(self) -> None:
        """Returns when more was received or the connection was closed."""
        await self._changed.wait()
        self._changed.clear()

    def data_received(self, data: bytes) -> None:
        self.received += data[: BODY_LIMIT - len(self.received)]
        self._changed.set()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.error, self.is_open = exc, False
        self._changed.set()


async def _exchange(target: ProbeTarget, connection: TcpConnection, progress: Progress) -> ProbeOutcome:
    """Sends what the settings say and waits for what they expect."""
    settings = target.settings
    if settings.send:
        connection.send(settings.send.encode())
    expected = settings.expect.body_contains
    if expected is None:
        return HEALTHY
    progress.enter(f"waiting for {quoted(expected)}")
    while expected.encode() not in connection.received:
        if len(connection.received) >= BODY_LIMIT:
            return Failed(0, f"the first {BODY_LIMIT // 1024} KiB do not contain {quoted(expected)}", FailureKind.BODY)
        if connection.error is not None:
            raise connection.error
        if not connection.is_open:
            return Failed(0, f"connection closed before {quoted(expected)}", FailureKind.CLOSED)
        await connection.wait_for_data()
    return HEALTHY
