"""The kind grpc, with the standard health service of grpcio's server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from tests.probing.conftest import StartPeer
from tests.probing.probes import IMPATIENT, PATIENT, assert_failed, assert_on_time, timed

from healthprobe.domain.endpoint import parse_endpoint
from healthprobe.domain.networks import Networks
from healthprobe.domain.outcome import HEALTHY
from healthprobe.domain.probe_parsing import settings_from
from healthprobe.domain.target import ProbeTarget
from healthprobe.probing.http import HTTPProber
from healthprobe.probing.prober import ProberByKind

STATUS = health_pb2.HealthCheckResponse


class Engine:
    """A gRPC server on loopback with the standard health service, or without it."""

    def __init__(self, credentials: grpc.ServerCredentials | None = None, *, healthy: bool = True) -> None:
        self._server = grpc.server(ThreadPoolExecutor(2))
        self._health: Any = health.HealthServicer()
        if healthy:
            health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        if credentials is None:
            self.port = self._server.add_insecure_port("127.0.0.1:0")
        else:
            self.port = self._server.add_secure_port("127.0.0.1:0", credentials)
        self._server.start()

    def set_status(self, status: Any, service: str = "") -> None:
        self._health.set(service, status)

    def stop(self) -> None:
        self._server.stop(0).wait()


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = Engine()
    yield engine
    engine.stop()


@pytest.fixture
async def prober(peer: StartPeer) -> AsyncIterator[ProberByKind]:  # it is closed before its peers are
    prober = ProberByKind(HTTPProber())
    yield prober
    await prober.aclose()
    assert prober.open_connections == 0


def asked(port: int, timeout: float = PATIENT, *, scheme: str = "http", **settings: Any) -> ProbeTarget:
    endpoint = parse_endpoint(f"{scheme}://127.0.0.1:{port}")
    return ProbeTarget("game-7", endpoint, timeout, settings_from({"kind": "grpc", **settings}))


async def test_serving_is_healthy_and_its_channel_is_kept(engine: Engine, prober: ProberByKind) -> None:
    target = asked(engine.port)
    for _ in range(3):
        assert await prober.probe(target) == HEALTHY
    assert prober.open_connections == 1
    prober.forget(target)


async def test_any_other_serving_status_is_a_failure(engine: Engine, prober: ProberByKind) -> None:
    engine.set_status(STATUS.NOT_SERVING)
    assert_failed(await prober.probe(asked(engine.port)), "grpc: not serving")
    assert_failed(
        await prober.probe(asked(engine.port, service="chess.Engine")), "grpc: the engine has no such service"
    )
    engine.set_status(STATUS.SERVING, "chess.Engine")
    assert await prober.probe(asked(engine.port, service="chess.Engine")) == HEALTHY


async def test_an_engine_that_is_back_is_healthy_at_the_next_probe(engine: Engine, prober: ProberByKind) -> None:
    target = asked(engine.port)
    engine.set_status(STATUS.NOT_SERVING)
    assert_failed(await prober.probe(target), "grpc: not serving")
    assert prober.open_connections == 0
    engine.set_status(STATUS.SERVING)
    assert await prober.probe(target) == HEALTHY


async def test_an_engine_without_the_health_service_is_a_failure(prober: ProberByKind) -> None:
    engine = Engine(healthy=False)
    assert_failed(await prober.probe(asked(engine.port)), "grpc: the engine has no grpc.health.v1 service")
    engine.stop()


async def test_a_closed_port_and_another_protocol_are_failures(peer: StartPeer, prober: ProberByKind) -> None:
    assert_failed(await prober.probe(asked(1)), "connection refused")

    async def hangs(connection: Any) -> None:
        await connection.silence()

    silent = await peer(hangs)
    outcome, seconds = await timed(prober, asked(silent.port, IMPATIENT))  # type: ignore[arg-type]  # any prober will do
    assert_failed(outcome, "timed out after 300ms")
    assert_on_time(seconds, IMPATIENT)
    assert await silent.settled(15.0) == 0, "its channel ends, if not at once"


@pytest.mark.proves("network-grpc")
async def test_forbidden_networks_are_not_probed(engine: Engine) -> None:
    prober = ProberByKind(HTTPProber(networks=Networks.parse(deny=["127.0.0.0/8"])))
    assert_failed(await prober.probe(asked(engine.port)), "is not to be probed")
    await prober.aclose()


async def test_the_certificate_is_verified_with_the_ca_of_the_settings(prober: ProberByKind, tmp_path: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("chess.example")
    credentials = grpc.ssl_server_credentials(
        [(issued.private_key_pem.bytes(), b"".join(pem.bytes() for pem in issued.cert_chain_pems))]
    )
    ca = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca))
    engine = Engine(credentials)
    trusted = {"ca": str(ca), "server_name": "chess.example"}
    assert await prober.probe(asked(engine.port, scheme="https", tls=trusted)) == HEALTHY
    assert_failed(await prober.probe(asked(engine.port, 2.0, scheme="https")), "TLS handshake failed|timed out")
    assert_failed(
        await prober.probe(asked(engine.port, scheme="https", tls={"verify": False})),
        'TLS settings: "verify": false is not for the kind grpc',
    )
    missing = {"ca": str(tmp_path / "none.pem")}
    assert_failed(
        await prober.probe(asked(engine.port, scheme="https", tls=missing)), "TLS settings: .* cannot be used"
    )
    engine.stop()
