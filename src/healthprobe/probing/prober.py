"""The prober of a run: probes each target with the kind that its settings name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from healthprobe.domain.outcome import Failed, FailureKind, ProbeOutcome
from healthprobe.domain.probe.probe_settings import ProbeKind
from healthprobe.domain.target import ProbeTarget
from healthprobe.ports import ConnectionKeeper, Prober
from healthprobe.probing.dialer import Dialer
from healthprobe.probing.http import HTTPProber
from healthprobe.probing.pool import ConnectionPool
from healthprobe.probing.tcp import TcpProber


class KindProber(Prober, ConnectionKeeper, Protocol):
    """The prober of one kind."""

    async def aclose(self) -> None:
        """Closes every connection. Probes in flight end inconclusive."""
        ...


def _grpc(pool: ConnectionPool, dialer: Dialer) -> KindProber:
    from healthprobe.probing.grpc import GrpcProber  # noqa: PLC0415  an extra, and 20 MB of memory

    return GrpcProber(pool, dialer)


PROBERS: Mapping[ProbeKind, Callable[[ConnectionPool, Dialer], KindProber]] = {
    ProbeKind.TCP: TcpProber,
    ProbeKind.GRPC: _grpc,
}
"""Makes the prober of each kind except http. An extra, if one is needed, is named after its kind."""


class ProberByKind:
    """A Prober for all kinds, which share the pool and the dialer of `http`.

    The prober of a kind is made when the first target of the kind is probed.
    """

    def __init__(self, http: HTTPProber) -> None:
        self._http = http
        self._probe_http = http.probe
        self._others: dict[ProbeKind, KindProber] = {}

    @property
    def capacity(self) -> int:
        """The most probes in flight at once."""
        return self._http.capacity

    @property
    def open_connections(self) -> int:
        return self._http.open_connections

    def probe(self, target: ProbeTarget) -> Awaitable[ProbeOutcome]:
        """Probes `target` once and ends at most 50 ms after its timeout, whatever the engine does."""
        kind = target.settings.kind
        if kind is ProbeKind.HTTP:
            return self._probe_http(target)
        if kind in self._others:
            return self._others[kind].probe(target)
        return self._probe_first(target, kind)

    def forget(self, target: ProbeTarget) -> None:
        """Closes the connection that is kept for `target`."""
        kind = target.settings.kind
        prober = self._http if kind is ProbeKind.HTTP else self._others.get(kind)
        if prober is not None:
            prober.forget(target)

    async def aclose(self) -> None:
        """Closes every connection. Probes in flight end inconclusive."""
        for prober in self._others.values():
            await prober.aclose()
        await self._http.aclose()

    async def _probe_first(self, target: ProbeTarget, kind: ProbeKind) -> ProbeOutcome:
        try:
            prober = self._others.setdefault(kind, PROBERS[kind](self._http.pool, self._http.dialer))
        except ImportError:
            return Failed(0, f"kind {kind} is an extra: pip install 'healthprobe[{kind}]'", FailureKind.ENDPOINT)
        return await prober.probe(target)
