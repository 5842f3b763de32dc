"""The gRPC prober: asks the standard health service (grpc.health.v1) with grpcio. Needs the extra `grpc`."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import quote

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from healthprobe._util.duration import Duration
from healthprobe.domain.endpoint import Endpoint
from healthprobe.domain.outcome import HEALTHY, Failed, FailureKind, ProbeOutcome
from healthprobe.domain.probe_settings import TlsSettings
from healthprobe.domain.target import ProbeTarget
from healthprobe.probing.dialer import Dialer
from healthprobe.probing.errors import classify_error
from healthprobe.probing.pool import ConnectionPool
from healthprobe.probing.routes import no_route
from healthprobe.probing.tls import InvalidTlsSettings, read_file

_MAX_CHANNELS = 1_000
"""The most channels kept open. The pool counts each as a connection."""

_GRACE = 0.02
"""How much longer than gRPC's own deadline to wait for its error, in seconds."""

_EXTRA_CONNECT_MS = 200
"""How much longer than a probe a connection attempt may take, in milliseconds, so that the probe times out first."""

_ERRORS_BY_CODE = {
    grpc.StatusCode.UNIMPLEMENTED: "the engine has no grpc.health.v1 service",
    grpc.StatusCode.UNAUTHENTICATED: "the engine requires credentials",
    grpc.StatusCode.PERMISSION_DENIED: "the engine denies permission",
}
_ERRORS_BY_DETAILS = (
    ("Connection refused", FailureKind.REFUSED, "connection refused"),
    ("Connection reset", FailureKind.CLOSED, "connection reset"),
    ("imeout", FailureKind.TIMEOUT, "connection timed out"),
    ("Socket closed", FailureKind.CLOSED, "connection closed before the answer"),
    ("SSL", FailureKind.TLS, "TLS handshake failed"),
    ("handshake", FailureKind.TLS, "TLS handshake failed"),
    (
        "SETTINGS frame as the first frame, got frame type 32",
        FailureKind.REFUSED,
        "connection refused",
    ),  # our own words
    ("No route to host", FailureKind.UNREACHABLE, "no route to host"),
)


class GrpcProber:
    """A Prober for targets of the kind grpc, made inside the loop on which it probes.

    Each engine has a channel, which is closed after any answer but SERVING, so that an old process cannot hide a new
    one behind the same address.
    """

    def __init__(self, pool: ConnectionPool, dialer: Dialer) -> None:
        self._pool = pool
        self._dialer = dialer
        self._channels: dict[ProbeTarget, _Channel] = {}

    async def probe(self, target: ProbeTarget) -> ProbeOutcome:
        """Probes `target` once and ends at most 50 ms after its timeout, whatever the engine does."""
        endpoint = target.endpoint
        if isinstance(endpoint, Failed):
            return endpoint
        limit = asyncio.timeout(target.timeout + _GRACE)
        try:
            async with limit:
                outcome = await self._ask(target, endpoint)
        except grpc.aio.AioRpcError as error:
            outcome = self._own_fault(target, error) or _classify_rpc_error(error, target.timeout)
        except Exception as error:  # noqa: BLE001  any error of an engine or a bug of ours is an outcome
            late = Failed(0, f"timed out after {Duration(target.timeout)}", FailureKind.TIMEOUT)
            outcome = late if limit.expired() else classify_error(error)
        if outcome is not HEALTHY:
            await self._close(target)
        return outcome

    def forget(self, target: ProbeTarget) -> None:
        """Closes the channel that is kept for `target`."""
        if target in self._channels:
            task = asyncio.get_running_loop().create_task(self._close(target))
            _closing.add(task)
            task.add_done_callback(_closing.discard)

    async def aclose(self) -> None:
        """Closes every channel."""
        for target in list(self._channels):
            await self._close(target)

    async def _ask(self, target: ProbeTarget, endpoint: Endpoint) -> ProbeOutcome:
        channel = self._channels.get(target)
        if channel is None:
            if len(self._channels) >= _MAX_CHANNELS:
                await self._close(next(iter(self._channels)))
            addresses = await self._dialer.addresses(endpoint)
            address = None if endpoint.socket is not None else addresses[0]
            channel = _Channel(_open_channel(target, endpoint, addresses[0]), address)
            await self._pool.admit(channel)
            self._channels[target] = channel
        request = health_pb2.HealthCheckRequest(service=target.settings.service)
        answer = await channel.health.Check(request, timeout=target.timeout)
        if answer.status == health_pb2.HealthCheckResponse.SERVING:
            return HEALTHY
        name = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
        return Failed(0, f"grpc: {name.replace('_', ' ').lower()}", FailureKind.BODY)

    def _own_fault(self, target: ProbeTarget, error: grpc.aio.AioRpcError) -> ProbeOutcome | None:
        """Returns the outcome of a call that this machine's own routes prevented, of which gRPC gives no number."""
        channel = self._channels.get(target)
        if error.code() is not grpc.StatusCode.UNAVAILABLE or channel is None or channel.address is None:
            return None
        fault = no_route(channel.address)
        return None if fault is None else classify_error(fault)

    async def _close(self, target: ProbeTarget) -> None:
        channel = self._channels.pop(target, None)
        if channel is not None:
            self._pool.closed(channel)
            await channel.channel.close()


_closing: set[asyncio.Task[None]] = set()


class _Channel:
    """A channel to an IP address or a unix socket (None), which the pool counts as a connection."""

    def __init__(self, channel: Any, address: str | None) -> None:
        self.channel = channel
        self.address = address
        self.health: Any = health_pb2_grpc.HealthStub(channel)

    def abort(self) -> None:
        """Does nothing: `aclose` of the prober closes it."""


def _open_channel(target: ProbeTarget, endpoint: Endpoint, address: str) -> Any:
    """Returns a channel to this address, without resolving the name again and without proxies."""
    tls = target.settings.tls
    milliseconds = int(target.timeout * 1000) + _EXTRA_CONNECT_MS
    options: list[tuple[str, Any]] = [
        ("grpc.enable_http_proxy", 0),
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.min_reconnect_backoff_ms", milliseconds),  # the default waits 20 s for a peer that hangs
        ("grpc.initial_reconnect_backoff_ms", milliseconds),
    ]
    if endpoint.socket is not None:
        uri = f"unix:{endpoint.socket}"
    else:
        uri = (
            f"ipv6:[{quote(address, safe=':')}]:{endpoint.port}"
            if ":" in address
            else f"ipv4:{address}:{endpoint.port}"
        )
    if tls is None and endpoint.scheme != "https":
        return grpc.aio.insecure_channel(uri, options=options)
    name = ((tls and tls.server_name) or endpoint.server_name).rstrip(".")
    options += [("grpc.ssl_target_name_override", name), ("grpc.default_authority", name)]
    return grpc.aio.secure_channel(uri, _credentials(tls or TlsSettings()), options=options)


def _credentials(tls: TlsSettings) -> grpc.ChannelCredentials:
    """Raises InvalidTlsSettings."""
    if not tls.verify:
        raise InvalidTlsSettings('TLS settings: "verify": false is not for the kind grpc: name its certificate as "ca"')
    contents = [None if path is None else read_file(path) for path in (tls.ca, tls.key, tls.certificate)]
    return grpc.ssl_channel_credentials(*contents)


def _classify_rpc_error(error: grpc.aio.AioRpcError, timeout: float) -> Failed:
    code, details = error.code(), error.details() or ""
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return Failed(0, f"timed out after {Duration(timeout)}", FailureKind.TIMEOUT)
    if code is grpc.StatusCode.NOT_FOUND:
        return Failed(0, "grpc: the engine has no such service", FailureKind.BODY)
    if code in _ERRORS_BY_CODE:
        return Failed(0, f"grpc: {_ERRORS_BY_CODE[code]}", FailureKind.BODY)
    for text, kind, cause in _ERRORS_BY_DETAILS:
        if text in details:
            return Failed(0, cause, kind)
    kind = FailureKind.CLOSED if code is grpc.StatusCode.UNAVAILABLE else FailureKind.OTHER
    return Failed(0, f"grpc: {code.name.replace('_', ' ').lower()}", kind)
