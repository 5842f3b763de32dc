"""PEM files: those that a record names, looked at before anything reads them."""

from __future__ import annotations

import stat
from pathlib import Path

from healthprobe.domain.outcome import FailureKind
from healthprobe.probing.causes import NamedFailure

LARGEST = 1 << 20
"""The largest file that is read, in bytes: four times a bundle of all the roots there are."""


class UnusableTls(NamedFailure):
    """Settings that no handshake can be made by. The message names the file, and what is wrong with it."""

    kind = FailureKind.TLS


def readable(path: str) -> str:
    """`path`, of a file that can be read whole and at once. Raises UnusableTls.

    Whoever writes a record chooses the path. A pipe would be waited for and a device be read without end, and all
    other probes with it. Who can exchange the file after this look owns the machine, and needs no record for that.
    """
    try:
        found = Path(path).stat()
    except OSError as error:
        raise unusable(path, (error.strerror or "").lower()) from None
    except ValueError:
        raise unusable(path, "no path") from None
    if not stat.S_ISREG(found.st_mode):
        raise unusable(path, "no file")
    if not found.st_size:
        raise unusable(path, "it is empty")
    if found.st_size > LARGEST:
        raise unusable(path, f"it is larger than {LARGEST >> 20} MiB")
    return path


def content_of(path: str) -> bytes:
    """What the file at `path` holds. Raises UnusableTls."""
    try:
        return Path(readable(path)).read_bytes()
    except OSError as error:
        raise unusable(path, (error.strerror or "").lower()) from None


def unusable(path: str | None, why: str) -> UnusableTls:
    """What is said of a file that no handshake can be made by."""
    return UnusableTls(f"TLS settings: {path} cannot be used: {why}")
