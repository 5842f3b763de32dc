"""A body is matched as it reads, whatever its content encoding and charset."""

from __future__ import annotations

import gzip
import json
import time
import tracemalloc
import zlib
from typing import Any

import pytest
from tests.probing.conftest import StartPeer
from tests.probing.peers import Peer, answering, response
from tests.probing.probes import assert_failed

from healthprobe.domain.endpoint import parse_endpoint
from healthprobe.domain.outcome import HEALTHY, ProbeOutcome
from healthprobe.domain.probe.probe_parsing import settings_from
from healthprobe.domain.target import ProbeTarget
from healthprobe.probing.answers.response import BODY_LIMIT
from healthprobe.probing.http import HTTPProber

CONTAINS = {"expect": {"body_contains": "größer ist bereit"}}
EQUALS = {"expect": {"json_path": "state", "equals": "größer ist bereit"}}
TEXT = "Der Motor größer ist bereit."
JSON = json.dumps({"state": "größer ist bereit"}, ensure_ascii=False)


def raw_deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(data) + compressor.flush()


def in_members(data: bytes) -> bytes:
    """Gzip of several members, as concatenated files are."""
    return gzip.compress(data[:9], mtime=0) + gzip.compress(b"") + gzip.compress(data[9:])


ENCODINGS = [
    ("gzip", gzip.compress),
    ("GZIP", gzip.compress),
    ("x-gzip", gzip.compress),
    ("gzip", in_members),
    ("deflate", zlib.compress),
    ("deflate", raw_deflate),
    ("identity", bytes),
    ("deflate, gzip", lambda data: gzip.compress(zlib.compress(data))),
]


def target(peer: Peer, settings: dict[str, Any]) -> ProbeTarget:
    return ProbeTarget("game-7", parse_endpoint(peer.url()), 5.0, settings_from(settings))


async def answered(peer: StartPeer, prober: HTTPProber, settings: dict[str, Any], answer: bytes) -> ProbeOutcome:
    return await prober.probe(target(await peer(answering(answer)), settings))


async def test_a_probe_that_reads_the_body_asks_for_no_encoding(peer: StartPeer, prober: HTTPProber) -> None:
    engine = await peer(answering(response()))
    await prober.probe(target(engine, CONTAINS))
    await prober.probe(target(engine, EQUALS | {"headers": {"accept-encoding": "gzip"}}))
    await prober.probe(target(engine, {}))

    asked, overridden, plain = engine.requests
    assert b"\r\nAccept-Encoding: identity" in asked
    assert overridden.lower().count(b"accept-encoding") == 1
    assert b"accept-encoding: gzip" in overridden
    assert b"Accept-Encoding" not in plain


@pytest.mark.proves("body-encoded")
@pytest.mark.parametrize(("name", "encode"), ENCODINGS)
async def test_a_body_that_is_encoded_all_the_same_is_decoded(
    name: str, encode: Any, peer: StartPeer, prober: HTTPProber
) -> None:
    for settings, text in ((CONTAINS, TEXT), (EQUALS, JSON)):
        answer = response(200, f"Content-Encoding: {name}", body=encode(text.encode()))
        assert await answered(peer, prober, settings, answer) == HEALTHY
    answer = response(200, f"Content-Encoding: {name}", body=encode(b"starting"))
    assert_failed(await answered(peer, prober, CONTAINS, answer), "body does not contain", 200)


@pytest.mark.parametrize(
    ("name", "body", "words"),
    [
        ("br", b"\x0b\x02\x80ready\x03", "body is encoded as br, which was not asked for"),
        ("zstd, gzip", gzip.compress(b"ready", mtime=0), "body is encoded as zstd, which was not asked for"),
        ("gzip", b"starting", "body is not gzip, although its Content-Encoding says so"),
        ("deflate", b"\xff\xffstarting", "body is not deflate, although its Content-Encoding says so"),
        ("gzip", gzip.compress(b"starting" * 99, mtime=0)[:-12], "body is gzip without its end"),
        ("gzip, gzip, gzip, gzip", b"starting", "body is encoded more than 3 times"),
    ],
)
async def test_an_encoding_that_cannot_be_read_is_named_as_the_cause(
    name: str, body: bytes, words: str, peer: StartPeer, prober: HTTPProber
) -> None:
    for settings in (CONTAINS, EQUALS):
        outcome = await answered(peer, prober, settings, response(200, f"Content-Encoding: {name}", body=body))
        assert_failed(outcome, f"^{words}$", 200)


@pytest.mark.proves("body-compressed")
@pytest.mark.parametrize("encodings", [1, 3])
async def test_a_body_that_is_compressed_a_thousandfold_is_decoded_to_64_kib_at_most(
    encodings: int, peer: StartPeer, prober: HTTPProber
) -> None:
    body = b"x" * 30_000_000 + TEXT.encode()
    for _ in range(encodings):
        body = gzip.compress(body, mtime=0)
    answer = response(200, "Content-Encoding: " + ", ".join(["gzip"] * encodings), body=body)
    engine = await peer(answering(answer))
    del body
    await prober.probe(target(engine, CONTAINS))

    tracemalloc.start()
    began = time.monotonic()
    outcome = await prober.probe(target(engine, CONTAINS))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert_failed(outcome, "does not contain|encoded|without its end", 200)
    assert most < 20 * BODY_LIMIT
    assert time.monotonic() - began < 2.0


@pytest.mark.proves("body-charset")
@pytest.mark.parametrize(
    ("charset", "codec"),
    [
        ("; charset=utf-8", "utf-8"),
        ("", "utf-8"),
        ("", "utf-8-sig"),
        ("", "utf-16"),
        ("; charset=UTF-16", "utf-16"),
        ("; charset=utf-16le", "utf-16-le"),
        ('; x=y; charset="ISO-8859-1"', "latin-1"),
        (";charset=latin1", "latin-1"),
        ("; charset=windows-1252", "cp1252"),
        ("; charset=iso-8859-1", "utf-8"),
        ("; charset=nonsense", "utf-8"),
        ("; charset=punycode", "utf-8"),
    ],
)
async def test_a_text_is_found_in_the_charset_of_the_body(
    charset: str, codec: str, peer: StartPeer, prober: HTTPProber
) -> None:
    for settings, text in ((CONTAINS, TEXT), (EQUALS, JSON)):
        answer = response(200, f"Content-Type: text/plain{charset}", body=text.encode(codec))
        assert await answered(peer, prober, settings, answer) == HEALTHY


async def test_a_charset_and_an_encoding_go_together(peer: StartPeer, prober: HTTPProber) -> None:
    headers = ("Content-Type: application/json; charset=latin-1", "Content-Encoding: gzip")
    for settings, text in ((CONTAINS, TEXT), (EQUALS, JSON)):
        answer = response(200, *headers, body=gzip.compress(text.encode("latin-1")))
        assert await answered(peer, prober, settings, answer) == HEALTHY
