"""The kinds: each target asked in the way that its settings name, by one prober for all of them."""

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
    """A Prober of every kind. All share the budget of descriptors, the networks and the names of `http`.

    What the kind grpc takes is loaded when the first such target is asked.
    """

    def __init__(self, http: HTTPProber) -> None:
        self._http = http
        self._ask_http = http.probe
        self._tcp = TcpProber(http.pool, http.dialer, http.trust)
        self._grpc: GrpcProber | None = None

    @property
    def capacity(self) -> int:
        """The most probes that can be in flight at once."""
        return self._http.capacity

    @property
    def open_connections(self) -> int:
        return self._http.open_connections

    def probe(self, target: ProbeTarget) -> Awaitable[ProbeOutcome]:
        """One probe of `target`, which ends at most 50 ms after its timeout, whatever the engine does."""
        kind = target.settings.kind
        if kind is ProbeKind.HTTP:
            return self._ask_http(target)
        if kind is ProbeKind.TCP:
            return self._tcp.probe(target)
        return self._ask_grpc(target)

    def forget(self, target: ProbeTarget) -> None:
        """Let go of what is kept for `target`."""
        if self._grpc is not None and target.settings.kind is ProbeKind.GRPC:
            self._grpc.forget(target)
        else:
            self._http.forget(target)

    async def aclose(self) -> None:
        """Close every connection; a probe that is still under way ends inconclusive."""
        if self._grpc is not None:
            await self._grpc.aclose()
        await self._http.aclose()

    async def _ask_grpc(self, target: ProbeTarget) -> ProbeOutcome:
        if self._grpc is None:
            try:
                from healthprobe.probing.grpc import GrpcProber  # noqa: PLC0415  an extra, and 20 MB of memory
            except ImportError:
                return _NO_GRPC
            self._grpc = GrpcProber(self._http.pool, self._http.dialer)
        return await self._grpc.probe(target)
