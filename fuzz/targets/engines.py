"""Input from engines: responses in any pieces, redirects, and errors that end up in an event."""

from __future__ import annotations

import gzip
import json
import zlib
from random import Random

from fuzz.mutation import Mutator
from fuzz.target import Draw, Target, mutated, texts
from healthprobe.domain.endpoint import parse_endpoint
from healthprobe.domain.outcome import MAX_ERROR_BYTES, sanitize_error
from healthprobe.probing.answers.body_text import UndecodableBody, decompress, to_text
from healthprobe.probing.answers.redirect import RedirectRefused, redirected_path
from healthprobe.probing.answers.response import BODY_LIMIT, BodyReader, ResponseReader
from healthprobe.probing.errors import MalformedResponse

Pieces = tuple[bytes, ...]

_RESPONSES = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nwell\r\n5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n",
    b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:8080/ready?a=b\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    b"HTTP/1.0 200 OK\nConnection: keep-alive\nContent-Length: 14\n\n" + b'{"state":"up"}',
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\x81\x05hello",
    b"HTTP/1.1  200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\nContent-Length : 2\r\n\r\nok",
    b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2 ; x = "y"\r\nok\r\n0 \r\nX: a\r\n b\r\n\r\n',
    b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Type: a; charset=utf-16\r\n\r\n" + gzip.compress(b"ready"),
    b"HTTP/1.1 200 OK\r\nContent-Encoding: deflate\r\n\r\n" + zlib.compress(b"ready" * 99),
    b"HTTP/1.1 204 No Content\r\nX-Game-ID: game-7\r\nSet-Cookie: a=b\r\nConnection: close\r\n\r\n",
    b"SSH-2.0-OpenSSH_9.2p1\r\n",
    b"\x15\x03\x01\x00\x02\x02\x46",
    b"\x00\x00\x12\x04\x00\x00\x00\x00\x00",
    b"<html><body>nginx</body></html>",
)
_OF_HTTP = (
    b"\r\n",
    b"\r\n\r\n",
    b"\n\n",
    b"HTTP/1.1 ",
    b"HTTP/2 200",
    b" 099 ",
    b" 999 ",
    b"Content-Length: 99999999999999999999\r\n",
    b"Content-Length: -1\r\n",
    b"Transfer-Encoding: gzip, chunked\r\n",
    b"Location: ",
    b"\r\nlocation :",
    b"Upgrade: h2c\r\n",
    b"ffffffffffffffff\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"Location: ///\r\n",
)
_MOST_PIECES = 6
_BYTE_BY_BYTE = 200


def _pieces(random: Random) -> Draw:
    """Returns a source of responses that are cut at any byte, as a network does."""
    mutator = Mutator(random, _RESPONSES, _OF_HTTP)

    def draw() -> Pieces:
        data = mutator.draw()
        if len(data) < _BYTE_BY_BYTE and random.random() < 0.05:
            return tuple(bytes([byte]) for byte in data)
        cuts = sorted(random.randint(0, len(data)) for _ in range(random.randint(0, _MOST_PIECES)))
        pieces = (data[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(data)], strict=True))
        return tuple(piece for piece in pieces if piece)

    return draw


def _read(reader: ResponseReader, pieces: Pieces) -> None:
    """Reads as a connection does: the response, and then another one if the first is complete."""
    for piece in pieces:
        if reader.is_complete:
            reader.expect_response()
        reader.feed(piece)
        if reader.status:
            assert isinstance(reader.location, str | None)
            assert isinstance(reader.head, bytes)


def _read_body(pieces: Pieces) -> None:
    reader = BodyReader()
    _read(reader, pieces)
    assert len(reader.body) <= BODY_LIMIT
    if reader.status:
        body = decompress(reader.head, reader.body, BODY_LIMIT, is_whole=reader.has_ended)
        assert len(body) <= BODY_LIMIT
        assert isinstance(to_text(reader.head, body), str)


def _redirect(location: bytes) -> None:
    """Follows a location from a head, twice. It must give a path that can be sent, or be refused by all endpoints."""
    text = location.decode("latin-1")
    is_followed = False
    refusal: RedirectRefused | None = None
    for endpoint in _REDIRECTING:
        try:
            path = redirected_path(endpoint, endpoint.healthz_path, text, "h")
        except RedirectRefused as refused:
            _cause(str(refused))
            refusal = refused
            continue
        is_followed = True
        assert path.startswith("/"), path
        assert path.isascii(), path
        assert path.isprintable(), path
        assert " " not in path, path
        redirected_path(endpoint, path, "next", "[fe80::7]:1")
    if refusal is not None and not is_followed:
        raise refusal


def _cause(text: str) -> None:
    cleaned = sanitize_error(text)
    assert len(cleaned.encode()) <= MAX_ERROR_BYTES
    assert "\n" not in cleaned
    assert "\0" not in cleaned
    json.dumps(cleaned)


_REDIRECTING = tuple(
    map(parse_endpoint, ("http://127.0.0.1:8080/game", "https://[fe80::1%25eth0]", "http://h", "unix:/s"))
)
_LOCATIONS = (
    b"/ready",
    b"ready?a=b#c",
    b"http://127.0.0.1:8080/game/ready",
    b"//127.0.0.1:8080/x",
    b"https://[fe80::1%25eth0]/x",
    b"http://user:secret@h/x",
    b"http://h:80/../../x",
    b"http://localhost/ok",
    b"?a",
)
_CAUSES = ("connection refused", "bad header from http://user:secret@game-7:8080/x", "a\r\nb", "ü" * 400)

TARGETS = (
    Target("response heads", _pieces, lambda pieces: _read(ResponseReader(), pieces), (MalformedResponse,), share=10),
    Target("response bodies", _pieces, _read_body, (MalformedResponse, UndecodableBody), share=10),
    Target(
        "redirects",
        mutated(_LOCATIONS, (b"http://", b"//", b"@", b"\\", b"..", b"[", b"]", b"%0d%0a", b":80", b"?", b"#", b"h")),
        _redirect,
        (RedirectRefused,),
    ),
    Target("causes", texts(_CAUSES, ("://", "@", "http://", "\ue000", "\U0010ffff")), _cause),
)
