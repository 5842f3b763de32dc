"""The gRPC prober: what the standard health service (grpc.health.v1) says, by grpcio's own client. An extra."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from healthprobe._util.duration import Duration
from healthprobe.domain.endpoint import Endpoint
from healthprobe.domain.outcome import HEALTHY, Failed, FailureKind, ProbeOutcome
from healthprobe.domain.probe_settings import TlsSettings
from healthprobe.domain.target import ProbeTarget
from healthprobe.probing.dialer import Dialer
from healthprobe.probing.errors import outcome_of_error
from healthprobe.probing.pool import ConnectionPool
from healthprobe.probing.tls import UnusableTls, content_of

_MOST_CHANNELS = 1_000
"""How many channels are kept open; each has a connection, which the pool counts."""

_GRACE = 0.02
"""How much longer than gRPC's own deadline we wait for its word, in seconds."""

_LONGER = 200
"""How much longer than a probe an attempt to connect may take, in milliseconds: the probe's own timeout is told."""

_TOLD = {
    grpc.StatusCode.UNIMPLEMENTED: "the engine has no grpc.health.v1 service",
    grpc.StatusCode.UNAUTHENTICATED: "the engine wants credentials",
    grpc.StatusCode.PERMISSION_DENIED: "the engine refuses to tell",
}
_UNAVAILABLE = (
    ("Connection refused", FailureKind.REFUSED, "connection refused"),
    ("Connection reset", FailureKind.CLOSED, "connection reset"),
    ("imeout", FailureKind.TIMEOUT, "connection timed out"),
    ("Socket closed", FailureKind.CLOSED, "connection closed before the answer"),
    ("SSL", FailureKind.TLS, "TLS handshake failed"),
    ("handshake", FailureKind.TLS, "TLS handshake failed"),
    ("No route to host", FailureKind.UNREACHABLE, "no route to host"),
)


class GrpcProber:
    """A Prober for targets of the kind grpc; to be made inside the loop that it probes on. Each engine has a channel,
    which is closed after any answer but SERVING, so that a process that is gone hides none that has come.
    """

    def __init__(self, pool: ConnectionPool, dialer: Dialer) -> None:
        self._pool = pool
        self._dialer = dialer
        self._channels: dict[ProbeTarget, _Channel] = {}

    async def probe(self, target: ProbeTarget) -> ProbeOutcome:
        """One probe of `target`, which ends at most 50 ms after its timeout, whatever the engine does."""
        endpoint = target.endpoint
        if isinstance(endpoint, Failed):
            return endpoint
        limit = asyncio.timeout(target.timeout + _GRACE)
        try:
            async with limit:
                outcome = await self._ask(target, endpoint)
        except grpc.aio.AioRpcError as error:
            outcome = _outcome_of(error, target.timeout)
        except Exception as error:  # noqa: BLE001  whatever an engine or our own code raises, it is an outcome
            late = Failed(0, f"timed out after {Duration(target.timeout)}", FailureKind.TIMEOUT)
            outcome = late if limit.expired() else outcome_of_error(error)
        if outcome is not HEALTHY:
            await self._let_go(target)
        return outcome

    def forget(self, target: ProbeTarget) -> None:
        """Close the channel that is kept for `target`."""
        if target in self._channels:
            task = asyncio.get_running_loop().create_task(self._let_go(target))
            _closing.add(task)
            task.add_done_callback(_closing.discard)

    async def aclose(self) -> None:
        """Close every channel."""
        for target in list(self._channels):
            await self._let_go(target)

    async def _ask(self, target: ProbeTarget, endpoint: Endpoint) -> ProbeOutcome:
        channel = self._channels.get(target)
        if channel is None:
            if len(self._channels) >= _MOST_CHANNELS:
                await self._let_go(next(iter(self._channels)))
            addresses = await self._dialer.addresses(endpoint)
            channel = _Channel(_opened(target, endpoint, addresses[0]))
            await self._pool.admit(channel)
            self._channels[target] = channel
        request = health_pb2.HealthCheckRequest(service=target.settings.service)
        answer = await channel.health.Check(request, timeout=target.timeout)
        if answer.status == health_pb2.HealthCheckResponse.SERVING:
            return HEALTHY
        name = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
        return Failed(0, f"grpc: {name.replace('_', ' ').lower()}", FailureKind.BODY)

    async def _let_go(self, target: ProbeTarget) -> None:
        channel = self._channels.pop(target, None)
        if channel is not None:
            self._pool.closed(channel)
            await channel.channel.close()


_closing: set[asyncio.Task[None]] = set()


class _Channel:
    """A channel as a pool counts it."""

    def __init__(self, channel: Any) -> None:
        self.channel = channel
        self.health: Any = health_pb2_grpc.HealthStub(channel)

    def abort(self) -> None:
        """It is closed with its prober."""


def _opened(target: ProbeTarget, endpoint: Endpoint, address: str) -> Any:
    """A channel to this very address, whatever the name would be resolved to now. Proxies are not asked."""
    tls = target.settings.tls
    milliseconds = int(target.timeout * 1000) + _LONGER
    options: list[tuple[str, Any]] = [
        ("grpc.enable_http_proxy", 0),
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.min_reconnect_backoff_ms", milliseconds),  # else a peer that hangs is held on to for 20 s
        ("grpc.initial_reconnect_backoff_ms", milliseconds),
    ]
    place = f"unix:{endpoint.socket}" if endpoint.socket is not None else _place(address, endpoint.port)
    if tls is None and endpoint.scheme != "https":
        return grpc.aio.insecure_channel(place, options=options)
    name = (tls and tls.server_name) or endpoint.host
    options += [("grpc.ssl_target_name_override", name), ("grpc.default_authority", name)]
    return grpc.aio.secure_channel(place, _credentials(tls or TlsSettings()), options=options)


def _place(address: str, port: int) -> str:
    return f"ipv6:[{address}]:{port}" if ":" in address else f"ipv4:{address}:{port}"


def _credentials(tls: TlsSettings) -> grpc.ChannelCredentials:
    """Raises UnusableTls."""
    if not tls.verify:
        raise UnusableTls('TLS settings: "verify": false is not for the kind grpc: name its certificate as "ca"')
    contents = [None if path is None else content_of(path) for path in (tls.ca, tls.key, tls.certificate)]
    return grpc.ssl_channel_credentials(*contents)


def _outcome_of(error: grpc.aio.AioRpcError, timeout: float) -> Failed:
    code, details = error.code(), error.details() or ""
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return Failed(0, f"timed out after {Duration(timeout)}", FailureKind.TIMEOUT)
    if code is grpc.StatusCode.NOT_FOUND:
        return Failed(0, "grpc: the engine knows no such service", FailureKind.BODY)
    if code in _TOLD:
        return Failed(0, f"grpc: {_TOLD[code]}", FailureKind.BODY)
    for word, kind, told in _UNAVAILABLE:
        if word in details:
            return Failed(0, told, kind)
    kind = FailureKind.CLOSED if code is grpc.StatusCode.UNAVAILABLE else FailureKind.OTHER
    return Failed(0, f"grpc: {code.name.replace('_', ' ').lower()}", kind)
