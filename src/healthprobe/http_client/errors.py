"""What aiohttp's errors and the statuses of responses mean: as text, and whether a retry can help."""

from __future__ import annotations

import errno
import os
import re
import ssl
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import aiohttp

from healthprobe._util.text import printable, shorten
from healthprobe.domain.endpoint import masked

REDIRECTS = frozenset({301, 302, 303, 307, 308})

LONGEST_PAUSE = 3600.0
"""The most seconds of a Retry-After that are obeyed: a server with a wrong clock must not silence us for a day."""

_LONGEST_LINE = 200
_TEMPORARY = frozenset({408, 425, 429})
_CLIENT_ERRORS = range(400, 500)
_BY_TYPE = (
    (aiohttp.ServerTimeoutError, "no connection in time"),
    (aiohttp.ClientConnectorDNSError, "its name cannot be resolved"),
    (aiohttp.ServerDisconnectedError, "connection closed before the answer"),
    (aiohttp.ClientPayloadError, "the answer ends too early"),
    (aiohttp.ClientResponseError, "the answer is not HTTP"),
)
_BY_ERRNO = {
    errno.ECONNREFUSED: "connection refused",
    errno.ECONNRESET: "connection reset",
    errno.EPIPE: "connection reset",
}


class NoResponse(Exception):
    """There was no response, or its body broke off. A retry may help. The same cause always has the same message."""


def is_permanent(status: int) -> bool:
    """Returns whether a response with this status comes again however often the request is sent: 4xx but 3 of them."""
    return status in _CLIENT_ERRORS and status not in _TEMPORARY


def pause_asked_for(header: str) -> float | None:
    """Returns the seconds that a Retry-After header asks for, from 0 to one hour, or None if it is not valid."""
    header = header.strip()
    try:
        if re.fullmatch(r"-?[0-9]+", header):
            seconds = float(header)
        else:
            instant = parsedate_to_datetime(header)
            seconds = (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp() - time.time()
    except (ValueError, OverflowError):
        return None
    return min(max(seconds, 0.0), LONGEST_PAUSE)


def first_line(text: bytes) -> str:
    """Returns the first line that is not blank, without control characters, at most 200 characters long."""
    for line in text.decode(errors="replace").splitlines():
        if cleaned := " ".join(printable(line, " ").split()):
            return shorten(cleaned, _LONGEST_LINE)
    return ""


def network_error_text(error: Exception) -> str:
    """Returns the cause in words, without addresses, ports and credentials."""
    for kind, text in _BY_TYPE:
        if isinstance(error, kind):
            return text
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"certificate refused: {_tls_reason(error.certificate_error)}"
    if isinstance(error, aiohttp.ClientConnectorSSLError):
        return f"TLS handshake failed: {_tls_reason(error.os_error)}"
    if isinstance(error, OSError) and error.errno is not None:
        return _BY_ERRNO.get(error.errno) or os.strerror(error.errno).lower()
    return "connection reset" if isinstance(error, ConnectionResetError) else "connection failed"


def _tls_reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message.rstrip(".")
    return (getattr(error, "reason", None) or "unknown cause").replace("_", " ").lower()


def is_web_page(response: aiohttp.ClientResponse) -> bool:
    """Whether a response is a page for people: the word of a login or a proxy, never that of an API."""
    return response.content_type in {"text/html", "application/xhtml+xml"}


def answer_text(response: aiohttp.ClientResponse, said: str) -> str:
    """Returns `answered 503: overloaded` for a response that `said` so, or where it has moved to."""
    text = f"answered {response.status}"
    if response.status in REDIRECTS:
        location = response.headers.get("Location", "").partition("?")[0]
        target = first_line(masked(location).encode(errors="replace"))
        return f"{text}: it has moved{f' to {target}' * bool(target)}; redirects are not followed, so give the new URL"
    if is_web_page(response):
        return f"{text} with a web page"
    return f"{text}: {said}" if said else text


def server_time(response: aiohttp.ClientResponse) -> datetime | None:
    """Returns the second at which the server sent a response, by its own clock, or None if it does not say."""
    try:
        instant = parsedate_to_datetime(response.headers.get("Date", ""))
    except ValueError:
        return None
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)
