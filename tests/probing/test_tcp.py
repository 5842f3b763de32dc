"""The kind tcp: a connection is enough, unless the settings expect an answer."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from tests.probing.conftest import StartPeer
from tests.probing.peers import Connection
from tests.probing.probes import IMPATIENT, PATIENT, assert_failed, assert_on_time, timed
from tests.probing.test_https import TlsEngine

from healthprobe.domain.endpoint import parse_endpoint
from healthprobe.domain.networks import Networks
from healthprobe.domain.outcome import HEALTHY, Failed, FailureKind
from healthprobe.domain.probe.probe_parsing import settings_from
from healthprobe.domain.target import ProbeTarget
from healthprobe.probing.http import HTTPProber
from healthprobe.probing.prober import ProberByKind


@pytest.fixture
async def prober(peer: StartPeer) -> AsyncIterator[ProberByKind]:  # it is closed before its peers are
    prober = ProberByKind(HTTPProber())
    yield prober
    await asyncio.sleep(0.02)  # TLS ends with an exchange
    assert prober.open_connections == 0, "a connection a probe, and none is left"
    await prober.aclose()


def asked(url: str, timeout: float = PATIENT, **settings: Any) -> ProbeTarget:
    return ProbeTarget("game-7", parse_endpoint(url), timeout, settings_from({"kind": "tcp", **settings}))


async def silence(connection: Connection) -> None:
    await connection.silence()


async def test_an_engine_that_accepts_a_connection_is_healthy_and_nothing_is_sent(
    peer: StartPeer, prober: ProberByKind
) -> None:
    heard: list[bytes] = []

    async def listens(connection: Connection) -> None:
        heard.append(await connection.anything())

    engine = await peer(listens)
    assert await prober.probe(asked(engine.url())) == HEALTHY
    assert await engine.settled() == 0
    assert heard == []


async def test_the_expected_answer_to_the_sent_text_is_healthy(peer: StartPeer, prober: ProberByKind) -> None:
    async def speaks(connection: Connection) -> None:
        word = await connection.anything()
        await connection.drip([b"+PO", b"NG\r\n"] if word == b"PING\r\n" else [b"-ERR\r\n"], 0.01)
        await connection.silence()

    engine = await peer(speaks)
    assert await prober.probe(asked(engine.url(), send="PING\r\n", expect={"body_contains": "+PONG"})) == HEALTHY


async def test_a_banner_can_be_expected_without_sending(peer: StartPeer, prober: ProberByKind) -> None:
    async def greets(connection: Connection) -> None:
        await connection.send(b"220 chess ready\r\n")
        await connection.silence()

    assert await prober.probe(asked((await peer(greets)).url(), expect={"body_contains": "ready"})) == HEALTHY


async def test_another_answer_fails_at_the_timeout_and_a_close_at_once(peer: StartPeer, prober: ProberByKind) -> None:
    async def errs(connection: Connection) -> None:
        await connection.send(b"-ERR\r\n")
        if connection.number > 1:
            connection.close()
        else:
            await connection.silence()

    engine = await peer(errs)
    outcome, seconds = await timed_tcp(prober, asked(engine.url(), IMPATIENT, expect={"body_contains": "+PONG"}))
    assert_failed(outcome, "timed out after 300ms waiting for “\\+PONG”")
    assert_on_time(seconds, IMPATIENT)
    outcome = await prober.probe(asked(engine.url(), expect={"body_contains": "+PONG"}))
    assert_failed(outcome, "connection closed before “\\+PONG”")


async def timed_tcp(prober: ProberByKind, target: ProbeTarget) -> tuple[Any, float]:
    return await timed(prober, target)  # type: ignore[arg-type]  # any prober will do


async def test_a_flood_is_read_up_to_64_kib(peer: StartPeer, prober: ProberByKind) -> None:
    async def floods(connection: Connection) -> None:
        while True:
            await connection.send(b"x" * 65536)

    outcome = await prober.probe(asked((await peer(floods)).url(), expect={"body_contains": "ready"}))
    assert_failed(outcome, "the first 64 KiB do not contain “ready”")


async def test_a_closed_port_refuses_the_connection(prober: ProberByKind) -> None:
    outcome = await prober.probe(asked("http://127.0.0.1:1"))
    assert outcome == Failed(0, "connection refused")
    assert isinstance(outcome, Failed)
    assert outcome.kind is FailureKind.REFUSED


@pytest.mark.proves("network-tcp")
async def test_forbidden_networks_are_not_probed(peer: StartPeer) -> None:
    engine = await peer(silence)
    prober = ProberByKind(HTTPProber(networks=Networks.parse(deny=["127.0.0.0/8"])))
    assert_failed(await prober.probe(asked(engine.url())), "is not to be probed")
    await prober.aclose()
    assert engine.connections == 0


async def test_the_certificate_is_verified_with_the_ca_of_the_settings(prober: ProberByKind, tmp_path: Path) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    ca = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca))
    async with TlsEngine(context, b"") as engine:
        assert await prober.probe(asked(engine.url(scheme="http"), tls={"ca": str(ca)})) == HEALTHY
        assert await prober.probe(asked(engine.url(), tls={"verify": False})) == HEALTHY
        assert_failed(await prober.probe(asked(engine.url())), "certificate refused")
        wrong = await prober.probe(asked(engine.url(), tls={"ca": str(ca), "server_name": "chess.example"}))
        assert_failed(wrong, "certificate refused")
        missing = await prober.probe(asked(engine.url(), tls={"ca": str(tmp_path / "none.pem")}))
        assert_failed(missing, "TLS settings: .*none.pem cannot be used: no such file")
