"""Each kind of probe keeps the promises of a prober."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from grpc_health.v1 import health, health_pb2_grpc

from healthprobe.domain.outcome import Inconclusive
from healthprobe.domain.probe.probe_settings import Expectation, ProbeKind, ProbeSettings
from healthprobe.probing.http import HTTPProber
from healthprobe.probing.prober import ProberByKind
from healthprobe.testing.contracts import ProberContract
from healthprobe.testing.contracts.prober import listening, target_at
from healthprobe.testing.engines import ScriptedEngine


@pytest.fixture
async def prober() -> AsyncIterator[ProberByKind]:
    prober = ProberByKind(HTTPProber())
    yield prober
    await prober.aclose()
    assert prober.open_connections == 0


@pytest.mark.parametrize("kind", [ProbeKind.TCP, ProbeKind.GRPC])
async def test_an_http_prober_judges_no_game_of_another_kind(kind: ProbeKind) -> None:
    async with ScriptedEngine() as engine, HTTPProber() as prober:
        outcome = await prober.probe(target_at(engine.port, ProbeSettings(kind=kind)))
    assert outcome == Inconclusive(f"an HTTPProber does not probe the kind {kind}: use a ProberByKind")


class TestHttp(ProberContract):
    @pytest.fixture
    def settings(self) -> ProbeSettings:
        return ProbeSettings()

    @pytest.fixture
    async def engine(self) -> AsyncIterator[int]:
        async with ScriptedEngine() as engine:
            yield engine.port


class TestTcp(ProberContract):
    @pytest.fixture
    def settings(self) -> ProbeSettings:
        return ProbeSettings(kind=ProbeKind.TCP, send="PING\n", expect=Expectation(body_contains="PONG"))

    @pytest.fixture
    async def engine(self) -> AsyncIterator[int]:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readline()
            writer.write(b"PONG\n")
            await writer.drain()
            writer.close()

        async with listening(answer) as port:
            yield port


class TestGrpc(ProberContract):
    @pytest.fixture
    def settings(self) -> ProbeSettings:
        return ProbeSettings(kind=ProbeKind.GRPC)

    @pytest.fixture
    def engine(self) -> Iterator[int]:
        server = grpc.server(ThreadPoolExecutor(2))
        health_pb2_grpc.add_HealthServicer_to_server(health.HealthServicer(), server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        yield port
        server.stop(0).wait()
