"""TLS over tcp: an engine that refuses the prober after the handshake, and one that logs how the prober leaves."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme
from tests.probing.probes import assert_failed
from tests.probing.test_tcp import asked

from healthprobe.domain.outcome import HEALTHY
from healthprobe.domain.target import ProbeTarget
from healthprobe.probing.http import HTTPProber
from healthprobe.probing.prober import ProberByKind

PATIENCE = 4.0


@pytest.fixture
async def prober() -> AsyncIterator[ProberByKind]:
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, complaint: complaints.append(complaint))
    prober = ProberByKind(HTTPProber())
    yield prober
    for _ in range(200):
        if not prober.open_connections:
            break
        await asyncio.sleep(0.01)
    assert prober.open_connections == 0
    await prober.aclose()
    assert not complaints


class Engine:
    """OpenSSL in a thread, so that what it does and logs is what servers do. `ends` has how each connection ended."""

    def __init__(self, tmp_path: Path, **settings: Any) -> None:
        self._settings = settings
        self.authority = trustme.CA()
        self.ca = str(tmp_path / "ca.pem")
        self.authority.cert_pem.write_to_path(self.ca)
        self.own = str(tmp_path / "prober.pem")
        self.authority.issue_cert("prober.example").private_key_and_cert_chain_pem.write_to_path(self.own)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.authority.issue_cert("127.0.0.1").configure_cert(self.context)
        self.ends: list[str] = []

    def asked(self, *, with_certificate: bool = False, **settings: Any) -> ProbeTarget:
        tls = {"ca": self.ca} | ({"certificate": self.own, "key": self.own} if with_certificate else {})
        return asked(f"https://127.0.0.1:{self.port}", PATIENCE, tls=tls, **settings)

    def requiring_a_certificate(self) -> Engine:
        self.context.verify_mode = ssl.CERT_REQUIRED
        self.context.load_verify_locations(self.ca)
        return self

    @asynccontextmanager
    async def running(self, serve: Callable[[ssl.SSLSocket], str] | None = None) -> AsyncIterator[Engine]:
        listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = listener.getsockname()[1]
        listener.settimeout(PATIENCE * 2)

        def run() -> None:
            while True:
                try:
                    accepted, _ = listener.accept()
                except OSError:
                    return
                accepted.settimeout(PATIENCE)
                try:
                    with self.context.wrap_socket(accepted, server_side=True, suppress_ragged_eofs=False) as tls:
                        self.ends.append((serve or _until_the_end)(tls))
                except OSError as error:
                    self.ends.append(type(error).__name__)
                    accepted.close()

        thread = asyncio.get_running_loop().run_in_executor(None, run)
        try:
            yield self
        finally:
            await asyncio.sleep(0.05)
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
            await thread


def _until_the_end(tls: ssl.SSLSocket) -> str:
    while tls.recv(4096):
        pass
    return "close_notify"


@pytest.mark.proves("tls-certificate-required")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_an_engine_that_requires_a_certificate_refuses_a_prober_without_one(
    version: ssl.TLSVersion, tmp_path: Path, prober: ProberByKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("healthprobe.probing.tcp._FIRST_WORD", PATIENCE)  # the engine shares a busy machine with us
    engine = Engine(tmp_path).requiring_a_certificate()
    engine.context.maximum_version = version
    async with engine.running():
        for settings in ({}, {"send": "PING\r\n"}, {"expect": {"body_contains": "x"}}):
            outcome = await prober.probe(engine.asked(**settings))
            assert_failed(
                outcome, "TLS handshake failed: .*(certificate required|handshake failure)|connection (reset|closed)"
            )
        assert await prober.probe(engine.asked(with_certificate=True)) == HEALTHY
    assert engine.ends[3:] == ["close_notify"]


@pytest.mark.parametrize("kind", ["http", "grpc"])
async def test_the_other_kinds_are_refused_as_well(kind: str, tmp_path: Path, prober: ProberByKind) -> None:
    engine = Engine(tmp_path).requiring_a_certificate()
    async with engine.running():
        settings = {"kind": kind, "tls": {"ca": engine.ca}}
        assert_failed(await prober.probe(asked(f"https://127.0.0.1:{engine.port}", PATIENCE, **settings)), "")


@pytest.mark.proves("tls-close-notify")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("settings", [{}, {"send": "PING\r\n"}])
async def test_a_probe_ends_its_handshake_and_says_goodbye(
    settings: dict[str, Any], version: ssl.TLSVersion, tmp_path: Path, prober: ProberByKind
) -> None:
    engine = Engine(tmp_path)
    engine.context.minimum_version = engine.context.maximum_version = version
    async with engine.running():
        for _ in range(5):
            assert await prober.probe(engine.asked(**settings)) == HEALTHY
    assert engine.ends == ["close_notify"] * 5


async def test_a_session_ticket_is_awaited_no_longer_than_it_takes(tmp_path: Path, prober: ProberByKind) -> None:
    engine = Engine(tmp_path)
    async with engine.running():
        begun = asyncio.get_running_loop().time()
        for _ in range(20):
            assert await prober.probe(engine.asked()) == HEALTHY
        assert asyncio.get_running_loop().time() - begun < 20 * 0.25


@pytest.mark.proves("tls-silent")
async def test_an_engine_that_says_nothing_after_the_handshake_is_healthy_soon(
    tmp_path: Path, prober: ProberByKind
) -> None:
    engine = Engine(tmp_path)
    engine.context.num_tickets = 0
    async with engine.running():
        begun = asyncio.get_running_loop().time()
        assert await prober.probe(engine.asked()) == HEALTHY
        assert asyncio.get_running_loop().time() - begun < PATIENCE / 2
    assert engine.ends == ["close_notify"]


async def test_an_engine_that_closes_right_after_the_handshake_is_a_failure(
    tmp_path: Path, prober: ProberByKind
) -> None:
    def hang_up(tls: ssl.SSLSocket) -> str:
        tls.close()
        return "hung up"

    engine = Engine(tmp_path)
    engine.context.num_tickets = 0
    async with engine.running(hang_up):
        assert_failed(await prober.probe(engine.asked()), "connection (closed right after the TLS handshake|reset)|eof")


async def test_an_engine_that_never_answers_our_goodbye_holds_a_descriptor_for_a_second_only(
    tmp_path: Path, prober: ProberByKind
) -> None:
    def ignore(tls: ssl.SSLSocket) -> str:
        time.sleep(1.5)
        return "ignored"

    engine = Engine(tmp_path)
    async with engine.running(ignore):
        assert await prober.probe(engine.asked()) == HEALTHY
        await asyncio.sleep(1.2)
        assert prober.open_connections == 0
