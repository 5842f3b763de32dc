"""The outcome: what one probe gave."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum

from healthprobe._util.text import shorten_bytes

MAX_ERROR_BYTES = 1024
"""The longest `last_error`, in bytes of UTF-8: no engine may suppress its own alarm with too long a message."""

OK = 200
"""The one status that means healthy."""

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
_CREDENTIALS = re.compile(r"(?<=://)(?:\S*@)?(\S*)")


def plain_cause(text: str) -> str:
    r"""`text` made fit for an event: one line, no control characters, no credentials, at most `MAX_ERROR_BYTES`.

    >>> plain_cause("bad\r\nheader from http://user:secret@game-7:8080/")
    'bad header from http://game-7:8080/'
    """
    if text.isprintable() and "://" not in text and len(text) * 4 <= MAX_ERROR_BYTES:
        return text.strip()
    line = _CREDENTIALS.sub(r"\1", _UNPRINTABLE.sub(" ", text[: 4 * MAX_ERROR_BYTES])).strip()
    return shorten_bytes(line, MAX_ERROR_BYTES)


@dataclass(frozen=True, slots=True)
class Healthy:
    """The engine answered 200. Probers return the one instance, `HEALTHY`."""


class FailureKind(StrEnum):
    """What kind of failure it is: few enough to count by. The exact words are in `last_error`."""

    STATUS = "status"
    """It answered, and not with 200."""

    TIMEOUT = "timeout"
    REFUSED = "refused"
    CLOSED = "closed"
    """It closed or reset the connection before it had answered."""

    UNREACHABLE = "unreachable"
    NAME = "name"
    """Its name is unknown, or could not be looked up."""

    TLS = "tls"
    MALFORMED = "malformed"
    """What it sent is no HTTP response."""

    ENDPOINT = "endpoint"
    """Its record names no address that can be probed."""

    BODY = "body"
    """It answered with the right status, and not with what its settings expect after it."""

    IDENTITY = "identity"
    """Another game answered."""

    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Failed:
    """The engine did not answer 200.

    `last_status` is the final status, or 0 where there was no response. `last_error` is the cause in plain words; it is
    cleaned by `plain_cause` whoever builds it, so that no prober can let a bad one through. `kind` is what failures are
    counted by, and no part of the event.
    """

    last_status: int
    last_error: str
    kind: FailureKind = field(default=FailureKind.OTHER, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "last_error", plain_cause(self.last_error))
        if self.last_status and self.kind is FailureKind.OTHER:
            object.__setattr__(self, "kind", FailureKind.STATUS)


@dataclass(frozen=True, slots=True)
class Inconclusive:
    """The prober could not tell, through a fault of its own (`cause`): neither success nor failure."""

    cause: str


ProbeOutcome = Healthy | Failed | Inconclusive

HEALTHY = Healthy()


def outcome_of_status(status: int) -> Healthy | Failed:
    """The verdict on a final status: 200 is healthy, anything else failed.

    >>> outcome_of_status(503)
    Failed(last_status=503, last_error='unexpected status 503', kind=<FailureKind.STATUS: 'status'>)
    """
    return HEALTHY if status == OK else Failed(status, f"unexpected status {status}")
