"""The prober of a run: probes each target with the kind that its settings name."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING

from healthprobe.domain.outcome import Failed, FailureKind, ProbeOutcome
from healthprobe.domain.probe_settings import ProbeKind
from healthprobe.domain.target import ProbeTarget
from healthprobe.probing.http import HTTPProber
from healthprobe.probing.tcp import TcpProber

if TYPE_CHECKING:
    from healthprobe.probing.grpc import GrpcProber

_NO_GRPC = Failed(0, "kind grpc is an extra: pip install 'healthprobe[grpc]'", FailureKind.ENDPOINT)


class ProberByKind:
    """A Prober for all kinds, which share the pool and the dialer of `http`.

    grpcio is imported when the first target of the kind grpc is probed.
    """

    def __init__(self, http: HTTPProber) -> None:
        self._http = http
        self._probe_http = http.probe
        self._tcp = TcpProber(http.pool, http.dialer)
        self._grpc: GrpcProber | None = None

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
        if kind is ProbeKind.TCP:
            return self._tcp.probe(target)
        return self._probe_grpc(target)

    def forget(self, target: ProbeTarget) -> None:
        """Closes the connection that is kept for `target`."""
        if self._grpc is not None and target.settings.kind is ProbeKind.GRPC:
            self._grpc.forget(target)
        else:
            self._http.forget(target)

    async def aclose(self) -> None:
        """Closes every connection. Probes in flight end inconclusive."""
        if self._grpc is not None:
            await self._grpc.aclose()
        await self._http.aclose()

    async def _probe_grpc(self, target: ProbeTarget) -> ProbeOutcome:
        if self._grpc is None:
            try:
                from healthprobe.probing.grpc import GrpcProber  # noqa: PLC0415  an extra, and 20 MB of memory
            except ImportError:
                return _NO_GRPC
            self._grpc = GrpcProber(self._http.pool, self._http.dialer)
        return await self._grpc.probe(target)
