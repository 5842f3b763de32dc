"""The TCP prober: connects to an engine, and where its settings say so, sends a text and waits for an answer."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress

from healthprobe._util.text import quoted
from healthprobe.domain.outcome import HEALTHY, Failed, FailureKind, ProbeOutcome
from healthprobe.domain.target import ProbeTarget
from healthprobe.probing.answers.response import BODY_LIMIT
from healthprobe.probing.connection import PooledConnection
from healthprobe.probing.dialer import Dialer, Progress
from healthprobe.probing.errors import classify_error
from healthprobe.probing.pool import ConnectionPool

_FIRST_WORD = 0.25
"""How long to wait for an engine's first word after a handshake of TLS 1.3, in seconds, where it is near."""

_FIRST_PAUSE = 0.001

_ROUND_TRIPS = 2
"""The same in times that connecting took, where the engine is far."""


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
                begun = self._loop.time()
                connection = await self._dialer.connect(
                    target, endpoint, progress, deadline, lambda: TcpConnection(self._pool)
                )
                connected = self._loop.time()
                outcome = await _exchange(target, connection, progress)
                if outcome is HEALTHY and connection.is_tls:
                    bound = max(_FIRST_WORD, _ROUND_TRIPS * (connected - begun))
                    outcome = await _await_first_word(connection, min(bound, (deadline - connected) / 2))
                    if outcome is HEALTHY:
                        connection.end()
                        connection = None
                return outcome
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

    __slots__ = ("_changed", "_is_tls_13", "_tls", "error", "is_open", "received")

    def __init__(self, pool: ConnectionPool) -> None:
        super().__init__(pool)
        self.received = b""
        self.is_open = True
        self.error: Exception | None = None
        self._changed = asyncio.Event()
        self._tls: ssl.SSLObject | None = None
        self._is_tls_13 = False

    def send(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    @property
    def is_tls(self) -> bool:
        return self._tls is not None

    @property
    def has_first_word(self) -> bool:
        """Returns whether the engine has shown that it accepts our side of a TLS handshake.

        With TLS 1.3 it checks that last, after the handshake has ended for us, and most engines send a session ticket
        then. The loop does not tell of a ticket.
        """
        if self._tls is None or not self._is_tls_13 or self.received:
            return True
        session = self._tls.session
        return session is not None and session.has_ticket

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._tls = transport.get_extra_info("ssl_object")
        self._is_tls_13 = self._tls is not None and self._tls.version() == "TLSv1.3"

    def end(self) -> None:
        """Closes a TLS connection with close_notify, so that the engine has no error to log."""
        if self._transport is not None:
            self._transport.close()

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


async def _await_first_word(connection: TcpConnection, seconds: float) -> ProbeOutcome:
    """Returns a failure if the engine ends the connection, by an alert or without one, before its first word.

    One that says nothing for `seconds` is healthy. Raises what ended the connection.
    """
    loop, pause = asyncio.get_running_loop(), _FIRST_PAUSE
    until = loop.time() + seconds
    while connection.is_open and not connection.has_first_word and (left := until - loop.time()) > 0:
        with suppress(TimeoutError):
            async with asyncio.timeout(min(pause, left)):
                await connection.wait_for_data()
        pause *= 2
    if connection.error is not None:
        raise connection.error
    if not connection.is_open and not connection.has_first_word:
        return Failed(0, "connection closed right after the TLS handshake", FailureKind.CLOSED)
    return HEALTHY
