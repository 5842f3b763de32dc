"""The gRPC prober: asks the standard health service (grpc.health.v1) with grpcio. Needs the extra `grpc`."""

from __future__ import annotations

import asyncio
import errno
import os
from math import inf
from typing import Any
from urllib.parse import quote

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from healthprobe._util.duration import Duration
from healthprobe.domain.endpoint import Endpoint
from healthprobe.domain.outcome import HEALTHY, Failed, FailureKind, Inconclusive, ProbeOutcome
from healthprobe.domain.probe.probe_settings import TlsSettings
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
        self._loop = asyncio.get_running_loop()
        self._pool = pool
        self._dialer = dialer
        self._channels: dict[ProbeTarget, _Channel] = {}

    async def probe(self, target: ProbeTarget) -> ProbeOutcome:
        """Probes `target` once and ends at most 50 ms after its timeout, whatever the engine does."""
        endpoint = target.endpoint
        if isinstance(endpoint, Failed):
            return endpoint
        deadline = self._loop.time() + target.timeout
        limit = asyncio.timeout_at(deadline + _GRACE)
        try:
            async with limit:
                outcome = await self._ask(target, endpoint, deadline)
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

    async def _ask(self, target: ProbeTarget, endpoint: Endpoint, deadline: float) -> ProbeOutcome:
        channel = self._channels.get(target)
        if channel is not None:
            now, renewal = self._loop.time(), self._dialer.renewal
            if now < channel.review_at or not await renewal.is_over(channel, target, endpoint):
                try:
                    return await channel.ask(target, deadline - self._loop.time())
                except grpc.aio.AioRpcError as error:
                    if error.code() is not grpc.StatusCode.UNAVAILABLE:
                        raise  # a channel that lost its connection, as one of HTTP may, says nothing of the engine
            await self._close(target)
        if len(self._channels) >= _MAX_CHANNELS:
            await self._close(next(iter(self._channels)))
        return await self._ask_afresh(target, endpoint, deadline)

    async def _ask_afresh(self, target: ProbeTarget, endpoint: Endpoint, deadline: float) -> ProbeOutcome:
        """Asks at the first address that accepts a connection; each gets an equal share of the time left."""
        addresses = await self._dialer.addresses(endpoint)
        first: ProbeOutcome | None = None
        for tried, address in enumerate(addresses):
            channel = _Channel(_open_channel(target, endpoint, address), address)
            await self._pool.admit(channel)
            self._channels[target] = channel
            try:
                outcome = await channel.ask(target, (deadline - self._loop.time()) / (len(addresses) - tried))
            except grpc.aio.AioRpcError as error:
                if channel.was_connected:
                    raise
                # An error that is kept would keep its channel, which goes on connecting until nothing refers to it.
                outcome = self._own_fault(target, error) or _classify_rpc_error(error, target.timeout)
                if first is None or (_is_no_route(first) and not _is_no_route(outcome)):
                    first = outcome
                await self._close(target)
            else:
                self._dialer.renewal.begin(channel, target, endpoint)
                return outcome
        return first or classify_error(OSError(errno.EHOSTUNREACH, "no address"))

    def _own_fault(self, target: ProbeTarget, error: grpc.aio.AioRpcError) -> ProbeOutcome | None:
        """Returns the outcome of a call that this machine's own routes prevented, of which gRPC gives no number."""
        channel = self._channels.get(target)
        if error.code() is not grpc.StatusCode.UNAVAILABLE or channel is None or channel.is_unix:
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
    """A channel to one address, or to a unix socket, that the pool counts as a connection."""

    def __init__(self, channel: Any, address: str) -> None:
        self.channel = channel
        self.address = address
        self.ends_at = self.review_at = inf
        self.health: Any = health_pb2_grpc.HealthStub(channel)

    @property
    def is_unix(self) -> bool:
        return self.address.startswith("/")

    @property
    def was_connected(self) -> bool:
        state = self.channel.get_state()
        return state not in {grpc.ChannelConnectivity.CONNECTING, grpc.ChannelConnectivity.TRANSIENT_FAILURE}

    async def ask(self, target: ProbeTarget, seconds: float) -> ProbeOutcome:
        """Asks for the health of the service that the settings name. Raises AioRpcError."""
        request = health_pb2.HealthCheckRequest(service=target.settings.service)
        answer = await self.health.Check(request, timeout=seconds)
        if answer.status == health_pb2.HealthCheckResponse.SERVING:
            return HEALTHY
        name = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
        return Failed(0, f"grpc: {name.replace('_', ' ').lower()}", FailureKind.BODY)

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
    authority = target.settings.host or endpoint.authority
    if tls is None and endpoint.scheme != "https":
        options.append(("grpc.default_authority", authority))
        return grpc.aio.insecure_channel(uri, options=options)
    name = ((tls and tls.server_name) or endpoint.server_name).rstrip(".")
    if name != endpoint.server_name and target.settings.host is None:
        authority = name  # as grpc-go has it
    elif target.settings.host is not None and _host_of(authority) != name:
        authority = _host_of(authority)  # gRPC refuses one with a port that is not of the certificate's name
    options += [("grpc.ssl_target_name_override", name), ("grpc.default_authority", authority)]
    return grpc.aio.secure_channel(uri, _credentials(tls or TlsSettings()), options=options)


def _is_no_route(outcome: ProbeOutcome) -> bool:
    return isinstance(outcome, Inconclusive) and outcome.no_route


def _host_of(authority: str) -> str:
    """Returns an authority without its port."""
    host, colon, port = authority.rpartition(":")
    return host if colon and port.isdigit() and not host.endswith(":") else authority


def _credentials(tls: TlsSettings) -> grpc.ChannelCredentials:
    """Raises InvalidTlsSettings."""
    if not tls.verify:
        raise InvalidTlsSettings('TLS settings: "verify": false is not for the kind grpc: name its certificate as "ca"')
    authorities = tls.ca or os.environ.get("SSL_CERT_FILE")
    contents = [None if path is None else read_file(path) for path in (authorities, tls.key, tls.certificate)]
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
