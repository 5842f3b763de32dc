"""The outcome of a probe: healthy, failed or inconclusive."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum

from healthprobe._util.text import shorten_bytes

MAX_ERROR_BYTES = 1024
"""The longest `last_error` in bytes of UTF-8: no engine may suppress its own alarm with a message that is too long."""

OK = 200
"""The HTTP status that means healthy."""

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
_CREDENTIALS = re.compile(r"(?<=://)(?:\S*@)?(\S*)")


def sanitize_error(text: str) -> str:
    r"""Returns `text` fit for an event: one line, no control characters, no credentials, at most MAX_ERROR_BYTES.

    >>> sanitize_error("bad\r\nheader from http://user:secret@game-7:8080/")
    'bad header from http://game-7:8080/'
    """
    if text.isprintable() and "://" not in text and len(text) * 4 <= MAX_ERROR_BYTES:
        return text.strip()
    line = _CREDENTIALS.sub(r"\1", _UNPRINTABLE.sub(" ", text[: 4 * MAX_ERROR_BYTES])).strip()
    return shorten_bytes(line, MAX_ERROR_BYTES)


@dataclass(frozen=True, slots=True)
class Healthy:
    """The engine answered as expected. Probers return the single instance `HEALTHY`."""


class FailureKind(StrEnum):
    """The kind of a failure, for metrics. The exact cause is in `last_error`."""

    STATUS = "status"
    """The engine answered with an unexpected status."""

    TIMEOUT = "timeout"
    REFUSED = "refused"
    CLOSED = "closed"
    """The connection was closed or reset before the answer."""

    UNREACHABLE = "unreachable"
    NAME = "name"
    """The host name is unknown or could not be resolved."""

    TLS = "tls"
    MALFORMED = "malformed"
    """The engine sent something other than an HTTP response."""

    ENDPOINT = "endpoint"
    """The record has no endpoint that can be probed."""

    BODY = "body"
    """The status was right, but not the body or service status that the settings expect."""

    IDENTITY = "identity"
    """Another game answered."""

    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Failed:
    """The engine did not answer as expected.

    `last_status` is the final status, or 0 without a response. `last_error` is the cause, always passed through
    `sanitize_error`. `kind` is counted in metrics and not part of the event.
    """

    last_status: int
    last_error: str
    kind: FailureKind = field(default=FailureKind.OTHER, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "last_error", sanitize_error(self.last_error))
        if self.last_status and self.kind is FailureKind.OTHER:
            object.__setattr__(self, "kind", FailureKind.STATUS)


@dataclass(frozen=True, slots=True)
class Inconclusive:
    """A fault of the prober itself (`cause`) prevented a verdict: neither success nor failure.

    `no_route` says that the prober's machine has no way to the engine's address. Where it has one to other engines, and
    that lasts, the address is at fault.
    """

    cause: str
    no_route: bool = False


ProbeOutcome = Healthy | Failed | Inconclusive

HEALTHY = Healthy()


def judge_status(status: int) -> Healthy | Failed:
    """Returns the outcome for a final status: 200 is healthy, anything else failed.

    >>> judge_status(503)
    Failed(last_status=503, last_error='unexpected status 503', kind=<FailureKind.STATUS: 'status'>)
    """
    return HEALTHY if status == OK else Failed(status, f"unexpected status {status}")
