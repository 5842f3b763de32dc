"""Causes: why there was no answer, in plain words, the same words for the same cause."""

from __future__ import annotations

import errno
import os
import ssl

import aiohttp

_OF_KIND = (
    (aiohttp.ServerTimeoutError, "no connection in time"),
    (aiohttp.ClientConnectorDNSError, "its name cannot be resolved"),
    (aiohttp.ServerDisconnectedError, "connection closed before the answer"),
    (aiohttp.ClientPayloadError, "the answer ends too early"),
    (aiohttp.ClientResponseError, "the answer is not HTTP"),
)
_OF_NUMBER = {
    errno.ECONNREFUSED: "connection refused",
    errno.ECONNRESET: "connection reset",
    errno.EPIPE: "connection reset",
}


def cause_of(error: Exception) -> str:
    """The cause in words that hold no address, no port and no credentials."""
    for kind, words in _OF_KIND:
        if isinstance(error, kind):
            return words
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"certificate refused: {_tls_reason(error.certificate_error)}"
    if isinstance(error, aiohttp.ClientConnectorSSLError):
        return f"TLS handshake failed: {_tls_reason(error.os_error)}"
    if isinstance(error, OSError) and error.errno is not None:
        return _OF_NUMBER.get(error.errno) or os.strerror(error.errno).lower()
    return "connection reset" if isinstance(error, ConnectionResetError) else "connection failed"


def _tls_reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message.rstrip(".")
    return (getattr(error, "reason", None) or "unknown cause").replace("_", " ").lower()
