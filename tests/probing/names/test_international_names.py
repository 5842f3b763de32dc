"""Names as people write them: with a dot at the end, and in their own letters."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme
from tests.probing.conftest import StartPeer
from tests.probing.names.name_server import NameServer
from tests.probing.names.own_machine import run_on_own_machine
from tests.probing.peers import OK, Connection, Peer, answering, response
from tests.probing.probes import target_at
from tests.probing.resolvers import FixedAddresses
from tests.probing.test_grpc import Engine
from tests.probing.test_https import TlsEngine

from healthprobe.domain.endpoint import parse_endpoint
from healthprobe.domain.outcome import HEALTHY
from healthprobe.domain.probe.probe_parsing import settings_from
from healthprobe.domain.target import ProbeTarget
from healthprobe.probing.http import HTTPProber
from healthprobe.probing.prober import ProberByKind

DOTTED = FixedAddresses({"engine.test.": ("127.0.0.1",)})
"""The one name that may be looked up: with its dot."""


def _asked(port: int, ca: Path, **settings: Any) -> ProbeTarget:
    endpoint = parse_endpoint(f"https://engine.test.:{port}")
    return ProbeTarget("game-7", endpoint, 5.0, settings_from({"tls": {"ca": str(ca)}, **settings}))


@pytest.fixture
def authority(tmp_path: Path) -> trustme.CA:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return authority


@pytest.mark.proves("trailing-dot")
async def test_a_dot_at_the_end_of_a_name_is_for_the_look_up_alone(authority: trustme.CA, tmp_path: Path) -> None:
    told: list[str | None] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("engine.test").configure_cert(context)
    context.sni_callback = _noting(told)

    async with TlsEngine(context, OK) as engine, HTTPProber(resolver=DOTTED) as prober:
        by_kind = ProberByKind(prober)
        for settings in ({}, {"kind": "tcp"}, {"tls": {"ca": str(tmp_path / "ca.pem"), "server_name": "engine.test."}}):
            assert await by_kind.probe(_asked(engine.port, tmp_path / "ca.pem", **settings)) == HEALTHY
        assert told == ["engine.test"] * 3
        assert b"Host: engine.test.:%d\r\n" % engine.port in engine.requests[0], "as curl and Go send it"


async def test_a_dot_at_the_end_of_a_name_is_no_part_of_the_name_that_grpc_verifies(
    authority: trustme.CA, tmp_path: Path
) -> None:
    issued = authority.issue_cert("engine.test")
    chain = b"".join(pem.bytes() for pem in issued.cert_chain_pems)
    engine = Engine(grpc.ssl_server_credentials([(issued.private_key_pem.bytes(), chain)]))
    prober = ProberByKind(HTTPProber(resolver=DOTTED))
    assert await prober.probe(_asked(engine.port, tmp_path / "ca.pem", kind="grpc")) == HEALTHY
    await prober.aclose()
    engine.stop()


async def test_a_redirect_to_the_name_without_its_dot_is_followed(peer: StartPeer) -> None:
    async def script(connection: Connection) -> None:
        if b"/healthz" in await connection.request():
            await connection.send(response(302, f"Location: http://engine.test:{engine.port}/ready"))
        else:
            await connection.send(OK)

    engine = await peer(script)
    async with HTTPProber(resolver=DOTTED) as prober:
        assert await prober.probe(target_at(engine.url(host="engine.test."))) == HEALTHY


async def ask_for_an_international_name() -> list[object]:
    with NameServer("127.0.0.53", 53) as server:
        server.addresses.update({"xn--fa-hia.example": "127.0.0.1", "fass.example": "127.0.0.66"})
        async with Peer(answering(OK), "127.0.0.1", 8080) as engine, HTTPProber() as prober:
            outcome = await prober.probe(target_at("http://user:secret@faß.example:8080"))
        return [outcome is HEALTHY, server.asked, [request.decode() for request in engine.requests]]


@pytest.mark.proves("international-name")
def test_an_international_name_is_asked_as_itself_and_not_as_another_domain() -> None:
    files = {"/etc/resolv.conf": "nameserver 127.0.0.53\n", "/etc/nsswitch.conf": "hosts: files dns\n"}
    healthy, asked, (request,) = run_on_own_machine(ask_for_an_international_name, files)
    assert healthy
    assert asked == ["xn--fa-hia.example"]
    assert "Host: xn--fa-hia.example:8080" in request


def _noting(told: list[str | None]) -> Callable[..., None]:
    def note(_connection: object, name: str | None, _context: object) -> None:
        told.append(name)

    return note
