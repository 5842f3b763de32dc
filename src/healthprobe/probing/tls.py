"""TLS contexts for probes, made from the PEM files that records name."""

from __future__ import annotations

import ssl
import stat
import time
from dataclasses import dataclass
from pathlib import Path

from healthprobe.domain.outcome import FailureKind
from healthprobe.domain.probe_settings import TlsSettings
from healthprobe.probing.errors import ProbeError

MAX_FILE_SIZE = 1 << 20
"""The largest file to read, in bytes: four times the bundle of all public roots."""


class InvalidTlsSettings(ProbeError):
    """TLS settings that cannot be used. The message names the file or the setting, and says what is wrong with it."""

    kind = FailureKind.TLS


def _check_file(path: str) -> str:
    """Returns `path` if it is a regular file of a reasonable size. Raises InvalidTlsSettings.

    The author of a record chooses the path. Reading a pipe or a device would block the loop and all other probes.
    A file exchanged after this check needs write access to the machine, which is more than a record gives.
    """
    try:
        found = Path(path).stat()
    except OSError as error:
        raise _invalid(path, (error.strerror or "").lower()) from None
    except ValueError:
        raise _invalid(path, "not a valid path") from None
    if not stat.S_ISREG(found.st_mode):
        raise _invalid(path, "not a regular file")
    if not found.st_size:
        raise _invalid(path, "it is empty")
    if found.st_size > MAX_FILE_SIZE:
        raise _invalid(path, f"it is larger than {MAX_FILE_SIZE >> 20} MiB")
    return path


def read_file(path: str) -> bytes:
    """Returns the content of the file at `path`. Raises InvalidTlsSettings."""
    try:
        return Path(_check_file(path)).read_bytes()
    except OSError as error:
        raise _invalid(path, (error.strerror or "").lower()) from None


def _invalid(path: str | None, why: str) -> InvalidTlsSettings:
    return InvalidTlsSettings(f"TLS settings: {path} cannot be used: {why}")


_MAX_AGE = 300.0
"""The seconds after which a context is made again, so that renewed certificates need no restart."""

_MAX_CONTEXTS = 1_000


@dataclass(frozen=True, slots=True)
class _Context:
    context: ssl.SSLContext
    made_at: float


class TlsContexts:
    """A cache of the contexts for TLS settings; `default` is for games without settings."""

    def __init__(self, default: ssl.SSLContext | None = None) -> None:
        self._default = default
        self._contexts: dict[TlsSettings, _Context] = {}

    def context(self, settings: TlsSettings | None) -> ssl.SSLContext:
        """Returns the context for these settings. Raises InvalidTlsSettings."""
        if settings is None:
            if self._default is None:
                self._default = ssl.create_default_context()
            return self._default
        known, now = self._contexts.get(settings), time.monotonic()
        if known is None or now - known.made_at > _MAX_AGE:
            if len(self._contexts) >= _MAX_CONTEXTS:
                self._contexts.clear()
            known = self._contexts[settings] = _Context(_make_context(settings), now)
        return known.context


def _make_context(settings: TlsSettings) -> ssl.SSLContext:
    file = settings.ca
    try:
        context = ssl.create_default_context(cafile=settings.ca and _check_file(settings.ca))
        file = settings.certificate
        if settings.certificate is not None:
            key = settings.key and _check_file(settings.key)
            context.load_cert_chain(_check_file(settings.certificate), key, password=_no_password)
    except (ssl.SSLError, ValueError):
        raise _invalid(file, "not a valid PEM file") from None
    except OSError as error:
        raise _invalid(file, (error.strerror or str(error)).lower()) from None
    if not settings.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _no_password() -> str:
    """Prevents a prompt at the terminal for the password of a key."""
    return ""
