"""Classifies errors: a failure of the engine, or a fault of the prober itself."""

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
}
"""Faults of the prober's own machine that concern no engine more than others."""

_NO_ROUTE = {
    errno.ENETUNREACH: "the prober has no route to the engine's network",
    errno.ENETDOWN: "the prober's network is down",
    errno.EACCES: "the prober's machine prohibits the connection",
    errno.EPERM: "the prober's firewall forbids the connection",
    errno.EAFNOSUPPORT: "the prober's machine has no such address family",
}
"""What the prober's own machine says of one address, by its routes or its firewall, before a packet was sent."""

_NO_ROUTE_BY_ITSELF = {
    **_NO_ROUTE,
    errno.EHOSTUNREACH: "a route of the prober's machine makes the engine unreachable",
    errno.EINVAL: "a route of the prober's machine discards what is sent to the engine",
    errno.EADDRNOTAVAIL: "the prober's machine has no address to connect to the engine from",
}
"""The same where the machine was asked for the route alone, as `NoRoute` says."""

_OURS = {
    **{number: Inconclusive(cause) for number, cause in _OWN_FAULTS.items()},
    **{number: Inconclusive(cause, no_route=True) for number, cause in _NO_ROUTE.items()},
}

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
"""What the engine's machine, or one on the way to it, has said. All other numbers are the engine's as well."""


class NoRoute(OSError):
    """The prober's own machine has no route to an address: `errno` is what it says of the route alone."""


class OwnFault(Exception):
    """A fault of the prober's own, which the message names: the probe is inconclusive."""


class ProbeError(Exception):
    """A failure of a probe whose message is the `last_error` of the event."""

    kind = FailureKind.OTHER


class MalformedResponse(Exception):
    """The received bytes are not an HTTP/1 response. The message says what they are instead."""


def classify_error(error: Exception) -> Failed | Inconclusive:
    """Returns the outcome for `error`: failed if it is the engine's fault, inconclusive if it is the prober's.

    An exception that no engine can cause is a bug of the prober, and so inconclusive.
    """
    if isinstance(error, ProbeError):
        return Failed(0, str(error), error.kind)
    if isinstance(error, OwnFault):
        return Inconclusive(str(error))
    if isinstance(error, ssl.SSLError):
        return Failed(0, _describe_tls_error(error), FailureKind.TLS)
    if isinstance(error, MemoryError):
        return Inconclusive("out of memory")
    if isinstance(error, OSError) and (number := error.errno or _guess_errno(error)):
        return _classify_number(number, of_route_alone=isinstance(error, NoRoute))
    return Inconclusive(f"a fault of the prober's own: {type(error).__name__}")


def _classify_number(number: int, *, of_route_alone: bool) -> Failed | Inconclusive:
    if of_route_alone:
        return Inconclusive(_NO_ROUTE_BY_ITSELF.get(number, os.strerror(number).lower()), no_route=True)
    if number in _OURS:
        return _OURS[number]
    kind, cause = _ENGINE_FAULTS.get(number) or (FailureKind.OTHER, os.strerror(number).lower())
    return Failed(0, cause, kind)


def is_no_route(error: OSError) -> bool:
    """Returns whether it is this machine that has no way to the address."""
    return isinstance(error, NoRoute) or error.errno in _NO_ROUTE


def classify_close(error: Exception | None, place: str, status: int = 0) -> Failed | Inconclusive:
    """Returns the outcome of a probe whose connection ended at this `place` in the response with `status`, if any."""
    if error is None:
        return Failed(status, f"connection closed {place}", FailureKind.CLOSED)
    outcome = classify_error(error)
    if isinstance(outcome, Failed):
        return Failed(status, f"{outcome.last_error} {place}", outcome.kind)
    return outcome


def _describe_tls_error(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate refused: {error.verify_message.rstrip('.')}"
    if error.reason in {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG"}:
        return "TLS handshake failed: the engine does not speak TLS"
    return f"TLS handshake failed: {(error.reason or 'unknown cause').replace('_', ' ').lower()}"


def _guess_errno(error: OSError) -> int:
    """Returns the errno of an error that asyncio raised without one, by its type."""
    kinds: tuple[tuple[type[OSError], int], ...] = (
        (ConnectionRefusedError, errno.ECONNREFUSED),
        (ConnectionAbortedError, errno.ECONNABORTED),
        (ConnectionError, errno.ECONNRESET),
    )
    return next((number for kind, number in kinds if isinstance(error, kind)), 0)
