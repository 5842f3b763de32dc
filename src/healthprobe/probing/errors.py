"""Causes: what an error of the network says about the engine, in plain words, or about the prober itself."""

from __future__ import annotations

import errno
import os
import ssl

from healthprobe.domain.outcome import Failed, FailureKind, Inconclusive

_OWN_FAULTS = {
    errno.EMFILE: "out of file descriptors (this process's limit)",
    errno.ENFILE: "out of file descriptors (the machine's limit)",
    errno.EADDRNOTAVAIL: "no free local port",
    errno.EADDRINUSE: "no free local port",
    errno.EAGAIN: "no free local port",
    errno.ENOBUFS: "out of socket buffers",
    errno.ENOMEM: "out of memory",
    errno.ENETDOWN: "the prober's network is down",
    errno.ENETUNREACH: "the prober has no route to the engine's network",
    errno.EPERM: "the prober's firewall forbids the connection",
    errno.EACCES: "the prober may not open the connection",
    errno.EAFNOSUPPORT: "the prober's machine has no such address family",
}
"""Errors that the prober's own machine raises before any engine was asked."""

_ENGINE_FAULTS = {
    errno.ENOENT: (FailureKind.REFUSED, "there is no such socket"),
    errno.ECONNREFUSED: (FailureKind.REFUSED, "connection refused"),
    errno.ECONNRESET: (FailureKind.CLOSED, "connection reset"),
    errno.EPIPE: (FailureKind.CLOSED, "connection reset"),
    errno.ECONNABORTED: (FailureKind.CLOSED, "connection closed before the response head"),
    errno.EHOSTUNREACH: (FailureKind.UNREACHABLE, "no route to host"),
    errno.EHOSTDOWN: (FailureKind.UNREACHABLE, "host is down"),
    errno.ETIMEDOUT: (FailureKind.TIMEOUT, "connection timed out in the network"),
}


class NamedFailure(Exception):
    """A failure that whoever raises it has put into words already, for the event."""

    kind = FailureKind.OTHER


def outcome_of_error(error: Exception) -> Failed | Inconclusive:
    """Whose fault `error` is: the engine's (failed) or the prober's own (inconclusive), with its cause.

    An exception that no engine can cause is a bug of the prober, and so inconclusive.
    """
    if isinstance(error, NamedFailure):
        return Failed(0, str(error), error.kind)
    if isinstance(error, ssl.SSLError):
        return Failed(0, _tls_fault(error), FailureKind.TLS)
    if isinstance(error, MemoryError):
        return Inconclusive("out of memory")
    if isinstance(error, OSError):
        number = error.errno or _errno_of_kind(error)
        if number in _OWN_FAULTS:
            return Inconclusive(_OWN_FAULTS[number])
        if number:
            kind, cause = _ENGINE_FAULTS.get(number) or (FailureKind.OTHER, os.strerror(number).lower())
            return Failed(0, cause, kind)
    return Inconclusive(f"a fault of the prober's own: {type(error).__name__}")


def _tls_fault(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate refused: {error.verify_message.rstrip('.')}"
    return f"TLS handshake failed: {_tls_reason(error)}"


def _tls_reason(error: ssl.SSLError) -> str:
    if error.reason in {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG"}:
        return "the engine does not speak TLS"
    return (error.reason or "unknown cause").replace("_", " ").lower()


def _errno_of_kind(error: OSError) -> int:
    """The number that belongs to an error which asyncio raised by kind alone."""
    kinds: tuple[tuple[type[OSError], int], ...] = (
        (ConnectionRefusedError, errno.ECONNREFUSED),
        (ConnectionAbortedError, errno.ECONNABORTED),
        (ConnectionError, errno.ECONNRESET),
    )
    return next((number for kind, number in kinds if isinstance(error, kind)), 0)
