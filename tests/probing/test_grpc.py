"""The kind grpc, with the standard health service of grpcio's server."""

from __future__ import annotations

import asyncio
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
from tests.probing.resolvers import FixedAddresses

from healthprobe.domain.endpoint import parse_endpoint
from healthprobe.domain.networks import Networks
from healthprobe.domain.outcome import HEALTHY
from healthprobe.domain.probe.probe_parsing import settings_from
from healthprobe.domain.probe.probe_settings import ProbeKind
from healthprobe.domain.target import ProbeTarget
from healthprobe.probing.http import HTTPProber
from healthprobe.probing.prober import ProberByKind

ON_ITS_WAY = 0.05
STATUS = health_pb2.HealthCheckResponse


class Engine:
    """A gRPC server on loopback with the standard health service, or without it."""

    def __init__(
        self,
        credentials: grpc.ServerCredentials | None = None,
        *,
        healthy: bool = True,
        address: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.asked = 0
        self._server = grpc.server(ThreadPoolExecutor(2))
        self._health: Any = health.HealthServicer()
        check: Any = self._health.Check

        def noting(request: Any, context: Any) -> Any:
            self.asked += 1
            return check(request, context)

        self._health.__dict__["Check"] = noting
        if healthy:
            health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        if credentials is None:
            self.port = self._server.add_insecure_port(f"{address}:{port}")
        else:
            self.port = self._server.add_secure_port(f"{address}:{port}", credentials)
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


def asked(
    port: int, timeout: float = PATIENT, *, scheme: str = "http", name: str = "127.0.0.1", **settings: Any
) -> ProbeTarget:
    endpoint = parse_endpoint(f"{scheme}://{name}:{port}")
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


def known_as(name: str, *addresses: str, max_age: float = 300.0) -> ProberByKind:
    """A prober that resolves `name` to these addresses."""
    return ProberByKind(HTTPProber(resolver=FixedAddresses({name: addresses}), keep_alive_max_age=max_age))


@pytest.mark.proves("grpc-addresses")
@pytest.mark.parametrize("first", ["127.83.7.9", "::1"])
async def test_an_engine_whose_first_address_is_dead_is_reached_on_its_second(first: str, engine: Engine) -> None:
    prober = known_as("game-7.example", first, "127.0.0.1")
    target = asked(engine.port, name="game-7.example")
    for _ in range(3):
        assert await prober.probe(target) == HEALTHY
    assert prober.open_connections == 1
    await prober.aclose()


async def test_the_error_of_the_first_address_is_told_where_none_answers(engine: Engine) -> None:
    prober = known_as("game-7.example", "127.83.7.9", "127.0.0.1")
    engine.stop()
    assert_failed(await prober.probe(asked(engine.port, name="game-7.example")), "^connection refused$")
    assert prober.open_connections == 0
    await prober.aclose()


async def test_an_address_that_never_answers_leaves_time_to_the_next(without_syn_ack: str, peer: StartPeer) -> None:
    port = int(without_syn_ack.rpartition(":")[2])
    engine = Engine(address="127.0.0.2", port=port)
    prober = known_as("game-7.example", "127.0.0.1", "127.0.0.2")
    assert await prober.probe(asked(port, 2.0, name="game-7.example")) == HEALTHY
    await prober.aclose()
    engine.stop()


async def test_an_answer_that_is_not_serving_is_the_engines_whatever_other_addresses_say(engine: Engine) -> None:
    second = Engine(address="127.0.0.2", port=engine.port)
    engine.set_status(STATUS.NOT_SERVING)
    prober = known_as("game-7.example", "127.0.0.1", "127.0.0.2")
    assert_failed(await prober.probe(asked(engine.port, name="game-7.example")), "grpc: not serving")
    await prober.aclose()
    second.stop()


@pytest.mark.proves("grpc-authority")
async def test_the_authority_is_host_and_port_as_given_or_the_host_of_the_settings(engine: Engine) -> None:
    sent: list[bytes] = []

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            sent.append(data)
            writer.write(data)
        writer.close()
        await writer.wait_closed()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_engine, to_engine = await asyncio.open_connection("127.0.0.1", engine.port)
        await asyncio.gather(pass_on(reader, to_engine), pass_on(from_engine, writer))

    front = await asyncio.start_server(relay, "127.0.0.1", 0)
    port = front.sockets[0].getsockname()[1]
    prober = known_as("game-7.example", "127.0.0.1")
    for target, authority in (
        (asked(port, name="game-7.example"), f"game-7.example:{port}"),
        (asked(port), f"127.0.0.1:{port}"),
        (asked(port, host="chess.example"), "chess.example"),
        (asked(port, host="chess.example:1234"), "chess.example:1234"),
    ):
        sent.clear()
        assert await prober.probe(target) == HEALTHY
        assert bytes([len(authority)]) + authority.encode() in b"".join(sent)  # a text that HPACK leaves as it is
    await prober.aclose()
    await asyncio.sleep(ON_ITS_WAY)
    front.close()


async def test_the_authority_over_tls_may_be_one_that_the_certificate_is_not_for(tmp_path: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("game-7.example", "127.0.0.1")
    pems = b"".join(pem.bytes() for pem in issued.cert_chain_pems)
    engine = Engine(grpc.ssl_server_credentials([(issued.private_key_pem.bytes(), pems)]))
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    prober = known_as("game-7.example", "127.0.0.1")
    tls: dict[str, Any] = {"ca": str(tmp_path / "ca.pem")}
    for name in ("game-7.example", "127.0.0.1"):
        assert await prober.probe(asked(engine.port, scheme="https", name=name, tls=tls)) == HEALTHY
        for host in ("chess.example:443", "chess.example", "game-7.example:443"):
            named = asked(engine.port, scheme="https", name=name, tls=tls, host=host)
            assert await prober.probe(named) == HEALTHY
    tls["server_name"] = "game-7.example"
    assert await prober.probe(asked(engine.port, scheme="https", tls=tls)) == HEALTHY
    await prober.aclose()
    engine.stop()


@pytest.mark.proves("grpc-moved")
async def test_a_channel_to_an_address_that_its_name_has_left_is_closed(engine: Engine) -> None:
    moved = Engine(address="127.0.0.2", port=engine.port)
    resolver = FixedAddresses({"game-7.example": ("127.0.0.1",)}, ttl=0.0)
    prober = ProberByKind(HTTPProber(resolver=resolver))
    target = asked(engine.port, name="game-7.example")
    assert await prober.probe(target) == HEALTHY
    resolver.addresses_of["game-7.example"] = ("127.0.0.2",)
    await asyncio.sleep(1.1)
    for _ in range(2):
        assert await prober.probe(target) == HEALTHY
    assert (engine.asked, moved.asked) == (1, 2)
    assert prober.open_connections == 1
    await prober.aclose()
    moved.stop()


async def test_a_channel_that_lost_its_engine_is_opened_anew_at_the_next_address(engine: Engine) -> None:
    second = Engine(address="127.0.0.2", port=engine.port)
    prober = known_as("game-7.example", "127.0.0.1", "127.0.0.2")
    target = asked(engine.port, name="game-7.example")
    assert await prober.probe(target) == HEALTHY
    engine.stop()
    assert await prober.probe(target) == HEALTHY
    assert second.asked == 1
    await prober.aclose()
    second.stop()


async def test_a_channel_ends_at_its_greatest_age(engine: Engine) -> None:
    prober = known_as("game-7.example", max_age=0.2)
    target = asked(engine.port)
    assert await prober.probe(target) == HEALTHY
    kept = prober._others[ProbeKind.GRPC]._channels[target]  # type: ignore[attr-defined]
    await asyncio.sleep(0.25)
    assert await prober.probe(target) == HEALTHY
    assert prober._others[ProbeKind.GRPC]._channels[target] is not kept  # type: ignore[attr-defined]
    await prober.aclose()
