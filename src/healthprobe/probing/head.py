"""The heads of requests and responses as they may be shown: one printable line each, bounded, without secrets."""

from __future__ import annotations

import re
from base64 import b64decode

from healthprobe._util.text import shorten
from healthprobe.domain.endpoint import Endpoint
from healthprobe.domain.outcome import sanitize_error

MOST_LINES = 40
MOST_CHARACTERS = 200

_SECRET = re.compile(
    r"^((?:proxy-)?authorization|(?:set-)?cookie2?|x-api-key|[a-z-]*(?:token|secret|password)[a-z-]*)\s*:.*",
    re.IGNORECASE,
)
_HEAD_ENDS = re.compile(rb"\r?\n\r?\n")
_LINE_ENDS = re.compile(rb"\r?\n")
_SHORTEST_SECRET = 4


def request_lines(request: bytes) -> tuple[str, ...]:
    """A request as it was sent, but for its credentials."""
    return _lines(request.rstrip(b"\r\n"), ())


def head_lines(received: bytes, endpoint: Endpoint) -> tuple[str, ...]:
    """All heads of what was received, interim responses' too; what an engine echoes of our credentials shows as ***."""
    heads = _HEAD_ENDS.split(received)
    is_head = [head.startswith(b"HTTP/") for head in heads]
    kept = is_head.index(False) if False in is_head else len(heads)
    return _lines(b"\n".join(heads[: max(kept, 1)]), _secrets_of(endpoint))


def _lines(text: bytes, secrets: tuple[str, ...]) -> tuple[str, ...]:
    lines = _LINE_ENDS.split(text.strip(b"\r\n"))
    shown = [_shown(line, secrets) for line in lines[:MOST_LINES]]
    if (more := len(lines) - MOST_LINES) > 0:
        shown.append(f"… and {more:,} more lines")
    return tuple(shown)


def _shown(line: bytes, secrets: tuple[str, ...]) -> str:
    text = line.decode("latin-1")
    for secret in secrets:
        text = text.replace(secret, "***")
    return shorten(sanitize_error(_SECRET.sub(r"\1: ***", text)), MOST_CHARACTERS)


def _secrets_of(endpoint: Endpoint) -> tuple[str, ...]:
    """What of our credentials a head could hold: as they are sent, and the password alone."""
    if endpoint.authorization is None:
        return ()
    encoded = endpoint.authorization.partition(" ")[2]
    password = b64decode(encoded).partition(b":")[2].decode("latin-1")
    return tuple(secret for secret in (encoded, password) if len(secret) >= _SHORTEST_SECRET)
