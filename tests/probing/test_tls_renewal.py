"""Certificates and authorities that are exchanged while the prober runs, in each way that this is done."""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import grpc
import pytest
import trustme
from tests.probing.peers import OK
from tests.probing.probes import assert_failed, target_at
from tests.probing.test_grpc import Engine as GrpcEngine
from tests.probing.test_grpc import asked as asked_of_grpc
from tests.probing.test_https import TlsEngine, serving
from tests.probing.test_tcp import asked

from healthprobe.domain.outcome import HEALTHY
from healthprobe.probing.http import HTTPProber
from healthprobe.probing.prober import ProberByKind

REFUSED = "certificate refused"
SIZE = 4096


class Authority:
    """An authority whose file has always the same size."""

    def __init__(self) -> None:
        self.ca = trustme.CA()
        self.text = self.ca.cert_pem.bytes().ljust(SIZE, b"\n")


OURS, ANOTHER = Authority(), Authority()


@pytest.fixture
async def engine() -> AsyncIterator[TlsEngine]:
    async with TlsEngine(serving(OURS.ca.issue_cert("127.0.0.1")), OK) as engine:
        yield engine


@pytest.fixture
async def prober(engine: TlsEngine) -> AsyncIterator[ProberByKind]:
    prober = ProberByKind(HTTPProber(keep_connections=False))
    yield prober
    await prober.aclose()


def rewrite(file: Path, text: bytes) -> None:
    file.write_bytes(text)


def exchange_with_the_same_times(file: Path, text: bytes) -> None:
    """As `cp -p` and `rsync -t` do: another file of the same size and time."""
    before = file.stat()
    new = file.with_suffix(".new")
    new.write_bytes(text)
    os.utime(new, ns=(before.st_atime_ns, before.st_mtime_ns))
    new.replace(file)


def rewrite_with_the_same_times(file: Path, text: bytes) -> None:
    before = file.stat()
    file.write_bytes(text)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def switch_a_link(file: Path, text: bytes) -> None:
    """As a ConfigMap is updated."""
    content = file.with_name(f"content-{len(list(file.parent.iterdir()))}")
    content.write_bytes(text)
    link = file.with_suffix(".link")
    link.symlink_to(content)
    link.replace(file)


WAYS = [rewrite, exchange_with_the_same_times, rewrite_with_the_same_times, switch_a_link]


@pytest.mark.proves("authorities-renewed")
@pytest.mark.parametrize("exchange", WAYS)
async def test_the_authorities_of_the_system_are_read_again_once_they_have_changed(
    exchange: Callable[[Path, bytes], None],
    engine: TlsEngine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = tmp_path / "store.pem"
    file.write_bytes(ANOTHER.text)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    async with HTTPProber(keep_connections=False) as prober:
        assert_failed(await prober.probe(target_at(engine.url())), REFUSED)
        exchange(file, OURS.text)
        assert await prober.probe(target_at(engine.url())) == HEALTHY
        exchange(file, ANOTHER.text)
        assert_failed(await prober.probe(target_at(engine.url())), REFUSED)


@pytest.mark.parametrize("exchange", WAYS)
async def test_the_authorities_of_the_settings_are_read_again_once_they_have_changed(
    exchange: Callable[[Path, bytes], None],
    engine: TlsEngine,
    prober: ProberByKind,
    tmp_path: Path,
) -> None:
    file = tmp_path / "ca.pem"
    file.write_bytes(ANOTHER.text)
    target = asked(engine.url(), tls={"ca": str(file)})
    assert_failed(await prober.probe(target), REFUSED)
    exchange(file, OURS.text)
    assert await prober.probe(target) == HEALTHY
    exchange(file, ANOTHER.text)
    assert_failed(await prober.probe(target), REFUSED)


async def test_a_folder_of_authorities_is_read_again_once_it_has_another_file(
    engine: TlsEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere.pem")
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    async with HTTPProber(keep_connections=False) as prober:
        assert_failed(await prober.probe(target_at(engine.url())), REFUSED)
        hashed = tmp_path / f"{_subject_hash(OURS.text, tmp_path)}.0"
        hashed.write_bytes(OURS.text)
        assert await prober.probe(target_at(engine.url())) == HEALTHY
        hashed.unlink()
        assert_failed(await prober.probe(target_at(engine.url())), REFUSED)


def _subject_hash(pem: bytes, folder: Path) -> str:
    """What OpenSSL names the file of an authority by: the first bytes of SHA-1 of its canonical subject."""
    if (openssl := shutil.which("openssl")) is None:
        pytest.skip("needs the program openssl")
    (folder / "ca.pem").write_bytes(pem)
    command = [openssl, "x509", "-hash", "-noout", "-in", str(folder / "ca.pem")]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.proves("authorities-half-written")
@pytest.mark.parametrize("broken", [b"", b"-----BEGIN CERTIFICATE-----\nMII", None])
async def test_a_file_that_is_half_written_or_gone_for_a_moment_fails_no_engine(
    broken: bytes | None,
    engine: TlsEngine,
    prober: ProberByKind,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = tmp_path / "ca.pem"
    file.write_bytes(OURS.text)
    target = asked(engine.url(), tls={"ca": str(file)})
    assert await prober.probe(target) == HEALTHY
    if broken is None:
        file.unlink()
    else:
        file.write_bytes(broken)
    assert await prober.probe(target) == HEALTHY
    monkeypatch.setattr("healthprobe.probing.tls._GRACE", 0.0)
    assert_failed(await prober.probe(target), "TLS settings: .*ca.pem cannot be used")
    file.write_bytes(OURS.text)
    assert await prober.probe(target) == HEALTHY


async def test_a_store_that_is_empty_for_a_moment_fails_no_engine(
    engine: TlsEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "store.pem"
    file.write_bytes(OURS.text)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    async with HTTPProber(keep_connections=False) as prober:
        assert await prober.probe(target_at(engine.url())) == HEALTHY
        file.write_bytes(b"")
        assert await prober.probe(target_at(engine.url())) == HEALTHY
        monkeypatch.setattr("healthprobe.probing.tls._GRACE", 0.0)
        assert_failed(await prober.probe(target_at(engine.url())), "store.pem cannot be used: no certificate is left")


async def test_a_certificate_whose_key_follows_a_moment_later_fails_no_engine(
    prober: ProberByKind, tmp_path: Path
) -> None:
    context = serving(OURS.ca.issue_cert("127.0.0.1"))
    context.verify_mode = ssl.CERT_REQUIRED
    OURS.ca.configure_trust(context)
    ca, certificate, key = (tmp_path / name for name in ("ca.pem", "prober.pem", "prober.key"))
    ca.write_bytes(OURS.text)
    first, renewed = (OURS.ca.issue_cert(f"{name}.example") for name in ("first", "renewed"))
    certificate.write_bytes(first.cert_chain_pems[0].bytes())
    key.write_bytes(first.private_key_pem.bytes())
    tls = {"ca": str(ca), "certificate": str(certificate), "key": str(key)}
    async with TlsEngine(context, OK) as engine:
        assert await prober.probe(asked(engine.url(), tls=tls)) == HEALTHY
        certificate.write_bytes(renewed.cert_chain_pems[0].bytes())
        assert await prober.probe(asked(engine.url(), tls=tls)) == HEALTHY
        key.write_bytes(renewed.private_key_pem.bytes())
        assert await prober.probe(asked(engine.url(), tls=tls)) == HEALTHY


async def test_grpc_trusts_the_same_authorities(
    prober: ProberByKind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    issued = OURS.ca.issue_cert("127.0.0.1")
    pems = b"".join(pem.bytes() for pem in issued.cert_chain_pems)
    engine = GrpcEngine(grpc.ssl_server_credentials([(issued.private_key_pem.bytes(), pems)]))
    file = tmp_path / "store.pem"
    file.write_bytes(ANOTHER.text)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    assert_failed(await prober.probe(asked_of_grpc(engine.port, scheme="https")), "TLS handshake failed")
    file.write_bytes(OURS.text)
    assert await prober.probe(asked_of_grpc(engine.port, scheme="https")) == HEALTHY
    engine.stop()
