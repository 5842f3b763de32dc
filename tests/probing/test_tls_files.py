"""PEM files that a record names: no record makes the prober block, use much memory or show a file's content."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme
from tests.probing.probes import assert_failed

from healthprobe.domain.record import RuntimeRecord
from healthprobe.domain.target import ProbeTarget, parse_target
from healthprobe.probing.http import HTTPProber
from healthprobe.probing.prober import ProberByKind
from healthprobe.probing.tls import MAX_FILE_SIZE, InvalidTlsSettings, read_file

KINDS = ("http", "tcp", "grpc")
UNREACHABLE = "https://127.0.0.1:1"


@pytest.fixture
async def prober() -> AsyncIterator[ProberByKind]:
    prober = ProberByKind(HTTPProber())
    yield prober
    await prober.aclose()


@pytest.fixture
def pipe(tmp_path: Path) -> str:
    """A pipe without a writer: opening it blocks for ever."""
    os.mkfifo(tmp_path / "pipe.pem")
    return str(tmp_path / "pipe.pem")


def asked(kind: str, **tls: str) -> ProbeTarget:
    record = RuntimeRecord("game-7", "", UNREACHABLE, probe=json.dumps({"kind": kind, "tls": tls}))
    return parse_target(record, 1.0)


@pytest.mark.proves("pem-pipe")
@pytest.mark.timeout(20)
@pytest.mark.parametrize("kind", KINDS)
async def test_a_pipe_named_by_a_record_blocks_no_probe(kind: str, pipe: str, prober: ProberByKind) -> None:
    for tls in ({"ca": pipe}, {"certificate": pipe}):
        outcome = await prober.probe(asked(kind, **tls))
        assert_failed(outcome, "^TLS settings: .*pipe.pem cannot be used: not a regular file$")


@pytest.mark.proves("pem-endless")
@pytest.mark.timeout(20)
@pytest.mark.parametrize("kind", KINDS)
async def test_an_endless_device_is_not_read(kind: str, prober: ProberByKind) -> None:
    assert_failed(await prober.probe(asked(kind, ca="/dev/zero")), "/dev/zero cannot be used: not a regular file$")


@pytest.mark.parametrize("kind", KINDS)
async def test_a_key_is_checked_like_its_certificate(
    kind: str, pipe: str, tmp_path: Path, prober: ProberByKind
) -> None:
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "good.pem"))
    outcome = await prober.probe(asked(kind, certificate=str(tmp_path / "good.pem"), key=pipe))
    assert_failed(outcome, "pipe.pem cannot be used: not a regular file$")


@pytest.mark.proves("pem-secret")
@pytest.mark.parametrize("kind", ["http", "tcp"])
async def test_an_error_shows_no_content_of_a_file_that_is_not_pem(
    kind: str, tmp_path: Path, prober: ProberByKind
) -> None:
    secret = tmp_path / "shadow"
    secret.write_text("root:$6$salt$verysecret:19000:0:99999:7:::\n")
    for tls in ({"ca": str(secret)}, {"certificate": str(secret)}):
        outcome = await prober.probe(asked(kind, **tls))
        assert_failed(outcome, "shadow cannot be used: not a valid PEM file$")
        assert "verysecret" not in str(outcome)


@pytest.mark.proves("pem-kernel-file")
def test_a_file_of_the_kernel_or_one_that_is_empty_or_too_large_is_refused(tmp_path: Path) -> None:
    large, largest = tmp_path / "large.pem", tmp_path / "largest.pem"
    for file, size in ((large, MAX_FILE_SIZE + 1), (largest, MAX_FILE_SIZE)):
        with file.open("wb") as opened:
            opened.truncate(size)
    for path, why in (("/proc/self/environ", "it is empty"), (str(large), "it is larger than 1 MiB")):
        with pytest.raises(InvalidTlsSettings, match=f"^TLS settings: {path} cannot be used: {why}$"):
            read_file(path)
    assert len(read_file(str(largest))) == MAX_FILE_SIZE


@pytest.mark.parametrize(
    ("path", "why"),
    [("/nowhere/at/all.pem", "no such file"), ("/a\0b", "not a valid path"), ("/", "not a regular file")],
)
def test_a_path_that_is_not_a_file_is_named_in_the_error(path: str, why: str) -> None:
    with pytest.raises(InvalidTlsSettings, match=f"cannot be used: {why}"):
        read_file(path)
