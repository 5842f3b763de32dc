"""The dialer: opens connections to targets, and records what a probe waits for."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import re
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from healthprobe._util.duration import Duration
from healthprobe.domain.endpoint import Endpoint
from healthprobe.domain.networks import Networks
from healthprobe.domain.outcome import Failed, FailureKind, Inconclusive
from healthprobe.domain.probe.probe_settings import ProbeKind
from healthprobe.domain.target import ProbeTarget
from healthprobe.probing.connection import PooledConnection
from healthprobe.probing.errors import ProbeError, is_no_route
from healthprobe.probing.observer import StepReporter
from healthprobe.probing.pool import ConnectionPool
from healthprobe.probing.renewal import Renewal
from healthprobe.probing.resolver import Resolver
from healthprobe.probing.routes import blame
from healthprobe.probing.tls import TlsContexts

Connection = TypeVar("Connection", bound=PooledConnection)

_LINK_LOCAL = re.compile("fe[89ab][0-9a-f]:")
_OUT_OF_DESCRIPTORS = frozenset({errno.EMFILE, errno.ENFILE})
_SHUTDOWN_TIMEOUT = 1.0
"""How long an engine may take to answer our close_notify, in seconds."""

_RESET_AT_CLOSE = struct.pack("ii", 1, 0)


@dataclass(slots=True)
class Progress:
    """What a probe on a fresh connection waits for, and whether the wait is the prober's own fault."""

    stage: str = "resolving the name"
    own_fault: bool = False
    status: int = 0

    def enter(self, stage: str, *, own_fault: bool = False, status: int = 0) -> None:
        self.stage = stage
        self.own_fault = own_fault
        self.status = status

    def enter_body(self, status: int) -> None:
        """Notes that the head has come, with this status."""
        self.enter(f"reading the body after status {status}", status=status)

    def timed_out(self, timeout: float) -> Failed | Inconclusive:
        """Returns the outcome of a probe that timed out in the current stage."""
        cause = f"timed out after {Duration(timeout)} {self.stage}"
        return Inconclusive(cause) if self.own_fault else Failed(self.status, cause, FailureKind.TIMEOUT)


class ForbiddenAddress(ProbeError):
    """An address that may not be probed. The message names the option that forbids it."""

    kind = FailureKind.ENDPOINT


class UnknownZone(ProbeError):
    """A link-local address without the interface of this machine on which it is. The message says what to write."""

    kind = FailureKind.ENDPOINT


class Dialer:
    """Opens connections within the pool's budget, to addresses that `networks` allow.

    Raises OSError, ssl.SSLError, UnresolvableName, ForbiddenAddress, UnknownZone or InvalidTlsSettings.
    """

    def __init__(
        self,
        pool: ConnectionPool,
        resolver: Resolver,
        contexts: TlsContexts,
        networks: Networks,
        *,
        max_age: float,
        steps: StepReporter | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._pool = pool
        self._resolver = resolver
        self._contexts = contexts
        self._networks = networks
        self._steps = steps
        self.renewal = Renewal(self, resolver, max_age)

    async def connect(
        self,
        target: ProbeTarget,
        endpoint: Endpoint,
        progress: Progress,
        deadline: float,
        new_connection: Callable[[], Connection],
    ) -> Connection:
        """Returns a connection to the first address of `endpoint` that accepts one.

        Raises the first error that is not for want of a route of our own, or else the first one.

        Each address gets an equal share of the time left, so that one that never answers leaves some to the next.
        """
        if self._steps is not None:
            self._steps.begin()
        addresses = await self.addresses(endpoint)
        first_error: OSError | None = None
        left = len(addresses)
        for address in addresses:
            try:
                if left == 1:
                    return await self._open(target, endpoint, address, progress, new_connection)
                async with asyncio.timeout((deadline - self._loop.time()) / left):
                    return await self._open(target, endpoint, address, progress, new_connection)
            except OSError as error:
                if isinstance(error, TimeoutError) and not error.errno:  # the share of this address
                    error = OSError(errno.ETIMEDOUT, "timed out")
                elif endpoint.socket is None:
                    error = blame(error, address)
                if self._steps is not None:
                    self._steps.failed_to_open(endpoint, address, error)
                if first_error is None or (is_no_route(first_error) and not is_no_route(error)):
                    first_error = error
                left -= 1
        raise first_error or OSError(errno.EHOSTUNREACH, "no address")

    async def addresses(self, endpoint: Endpoint) -> tuple[str, ...]:
        """Returns the addresses to connect to, or the path of the unix socket.

        Raises UnresolvableName, UnknownZone, or ForbiddenAddress if no address is allowed.
        """
        if endpoint.socket is not None:
            if (refusal := self._networks.unix_socket_refusal) is not None:
                raise ForbiddenAddress(refusal)
            return (endpoint.socket,)
        if _is_address(endpoint.host):
            if ":" in endpoint.host:
                _scope_of(endpoint.host)
            addresses: tuple[str, ...] = (endpoint.host,)
        else:
            addresses = await self._resolver.addresses(endpoint.host)
            if self._steps is not None:
                self._steps.resolved(endpoint.host, addresses)
        if self._networks.allow_all:
            return addresses
        refusals = {address: self._networks.refusal(address) for address in addresses}
        allowed = tuple(address for address, refusal in refusals.items() if refusal is None)
        if not allowed:
            raise ForbiddenAddress(next(refusal for refusal in refusals.values() if refusal is not None))
        return allowed

    async def _open(
        self,
        target: ProbeTarget,
        endpoint: Endpoint,
        address: str,
        progress: Progress,
        new_connection: Callable[[], Connection],
    ) -> Connection:
        try:
            connection = new_connection()
            await self._open_once(target, endpoint, address, progress, connection)
        except OSError as error:
            if error.errno not in _OUT_OF_DESCRIPTORS or not self._pool.close_oldest():
                raise
            await asyncio.sleep(0)  # the loop's next turn closes the descriptor
            connection = new_connection()
            await self._open_once(target, endpoint, address, progress, connection)
        return connection

    async def _open_once(
        self, target: ProbeTarget, endpoint: Endpoint, address: str, progress: Progress, connection: PooledConnection
    ) -> None:
        connection.address = address
        progress.enter("waiting for a free file descriptor", own_fault=True)
        await self._pool.admit(connection)
        try:
            if endpoint.socket is not None:
                progress.enter("connecting")
                await self._loop.create_unix_connection(lambda: connection, address)
                if self._steps is not None:
                    self._steps.connected(endpoint, address)
            elif endpoint.scheme == "https" or (target.settings.kind is ProbeKind.TCP and target.settings.tls):
                progress.enter("connecting and shaking hands over TLS")
                await self._open_tls(target, endpoint, address, connection)
            else:
                progress.enter("connecting")
                if "%" in address:
                    raw = await self._connect_socket(address, endpoint.port)
                    transport, _ = await self._loop.create_connection(lambda: connection, sock=raw)
                else:
                    transport, _ = await self._loop.create_connection(lambda: connection, address, endpoint.port)
                if transport.get_extra_info("sockname")[1] == endpoint.port:  # cheaper than its socket
                    _refuse_self_connection(transport.get_extra_info("socket"))
                if self._steps is not None:
                    self._steps.connected(endpoint, address)
        except BaseException:
            connection.disown()
            raise

    async def _open_tls(
        self, target: ProbeTarget, endpoint: Endpoint, address: str, connection: PooledConnection
    ) -> None:
        tls = target.settings.tls
        context = self._contexts.context(tls)
        if self._steps is not None:
            self._steps.begin()  # the time to make the context is not the engine's
        raw = await self._connect_socket(address, endpoint.port)
        if self._steps is not None:
            self._steps.connected(endpoint, address)
        transport, _ = await self._loop.create_connection(
            lambda: connection,
            sock=raw,
            ssl=context,
            ssl_shutdown_timeout=_SHUTDOWN_TIMEOUT,
            server_hostname=((tls and tls.server_name) or endpoint.server_name).rstrip("."),
        )
        if self._steps is not None:
            self._steps.shook_hands(transport.get_extra_info("ssl_object"))

    async def _connect_socket(self, address: str, port: int) -> socket.socket:
        """Returns a socket that is connected to `address`, in its zone."""
        raw = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        try:
            raw.setblocking(False)
            if "%" in address:
                await self._connect_in_zone(raw, address, port)
            else:
                await self._loop.sock_connect(raw, (address, port))
            _refuse_self_connection(raw)
        except BaseException:
            raw.close()
            raise
        return raw

    async def _connect_in_zone(self, raw: socket.socket, address: str, port: int) -> None:
        """Connects without the loop's own reading of the address, which loses the zone or takes a thread for it."""
        with contextlib.suppress(BlockingIOError):
            raw.connect((address.partition("%")[0], port, 0, _scope_of(address)))
            return
        writable = asyncio.Event()
        self._loop.add_writer(raw, writable.set)
        try:
            await writable.wait()
        finally:
            self._loop.remove_writer(raw)
        if error := raw.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise OSError(error, os.strerror(error))


def _refuse_self_connection(connected: socket.socket) -> None:
    """Raises ConnectionRefusedError for a socket that the kernel connected to itself.

    It does so where nothing listens at a local address and its port happens to be chosen as the local one. Ended by a
    reset, the socket leaves no TIME_WAIT behind that would keep the engine from listening at its port again.
    """
    if connected.getsockname()[:2] == connected.getpeername()[:2]:
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
        raise ConnectionRefusedError(errno.ECONNREFUSED, "the socket is connected to itself")


def _scope_of(address: str) -> int:
    """Returns the number of the interface that the zone of `address` names, or 0 without a zone. Raises UnknownZone."""
    plain, percent, zone = address.partition("%")
    if not percent:
        if _LINK_LOCAL.match(plain):
            raise UnknownZone(f"{plain} is on each link: add the interface, as in http://[{plain}%25eth0]")
        return 0
    try:
        if not zone.isdigit():
            return socket.if_nametoindex(zone)
        socket.if_indextoname(int(zone))
        return int(zone)
    except (OSError, OverflowError):
        raise UnknownZone(f"the zone {zone} of {plain} is no interface of the prober's machine") from None


def _is_address(host: str) -> bool:
    """Returns whether the host of an endpoint, which is in canonical form, is an IP address."""
    return ":" in host or host.replace(".", "").isdigit()
