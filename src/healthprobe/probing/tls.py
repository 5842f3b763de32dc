"""TLS contexts of probes, and the PEM files that records name."""

from __future__ import annotations

import ssl
import stat
import time
from dataclasses import dataclass
from pathlib import Path

from healthprobe.domain.outcome import FailureKind
from healthprobe.domain.probe_settings import TlsSettings
from healthprobe.probing.errors import NamedFailure

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


_LIFE = 300.0
"""Seconds after which a context is made anew: certificates are renewed, and no prober is restarted for that."""

_MOST = 1_000


@dataclass(frozen=True, slots=True)
class _Made:
    context: ssl.SSLContext
    at: float


class Trust:
    """The context for each of the settings there are; `common` is that of games without any."""

    def __init__(self, common: ssl.SSLContext | None = None) -> None:
        self._common = common
        self._made: dict[TlsSettings, _Made] = {}

    def context(self, settings: TlsSettings | None) -> ssl.SSLContext:
        """Raises UnusableTls."""
        if settings is None:
            if self._common is None:
                self._common = ssl.create_default_context()
            return self._common
        made, now = self._made.get(settings), time.monotonic()
        if made is None or now - made.at > _LIFE:
            if len(self._made) >= _MOST:
                self._made.clear()
            made = self._made[settings] = _Made(_context_of(settings), now)
        return made.context


def _context_of(settings: TlsSettings) -> ssl.SSLContext:
    file = settings.ca
    try:
        context = ssl.create_default_context(cafile=settings.ca and readable(settings.ca))
        file = settings.certificate
        if settings.certificate is not None:
            key = settings.key and readable(settings.key)
            context.load_cert_chain(readable(settings.certificate), key, password=_no_password)
    except (OSError, ValueError) as error:
        reason = (
            error.strerror if isinstance(error, OSError) and not isinstance(error, ssl.SSLError) else "no PEM of it"
        )
        raise unusable(file, (reason or str(error)).lower()) from None
    if not settings.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _no_password() -> str:
    """A key with a password would be asked for at the terminal."""
    return ""
