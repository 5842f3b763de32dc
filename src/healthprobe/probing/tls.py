"""TLS contexts for probes, made from the PEM files that records name."""

from __future__ import annotations

import os
import ssl
import stat
import time
from dataclasses import dataclass
from pathlib import Path

from healthprobe.domain.outcome import FailureKind
from healthprobe.domain.probe.probe_settings import TlsSettings
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


_GRACE = 60.0
"""How long a context is used on whose files cannot be read any more, in seconds: they may be half written."""

_MAX_CONTEXTS = 1_000

Stamp = tuple[int, int, int, int] | None
"""What tells one content of a file from another, or None where there is no file."""


@dataclass(slots=True)
class _Context:
    context: ssl.SSLContext
    stamps: tuple[Stamp, ...]
    authorities: int
    """How many it had when it was made: those of a folder are read as they are needed."""
    broken_since: float | None = None


class TlsContexts:
    """A cache of the contexts for TLS settings; `default` is for games without settings.

    A context is made again once one of its files has changed, so that renewed certificates need no restart; among them
    are SSL_CERT_FILE and the system's store, where the settings name no authorities.
    """

    def __init__(self, default: ssl.SSLContext | None = None) -> None:
        self._default = default
        self._store = system_store()
        self._contexts: dict[TlsSettings, _Context] = {}

    def context(self, settings: TlsSettings | None) -> ssl.SSLContext:
        """Returns the context for these settings. Raises InvalidTlsSettings."""
        if settings is None:
            if self._default is not None:
                return self._default
            settings = _NO_SETTINGS
        files = (settings.ca,) if settings.ca is not None else self._store
        stamps = tuple(map(_stamp, filter(None, (*files, settings.certificate, settings.key))))
        known = self._contexts.get(settings)
        if known is not None and known.stamps == stamps:
            return known.context
        try:
            made = _make_context(settings)
            authorities = made.cert_store_stats()["x509_ca"]
            if known is not None and known.authorities and not authorities:
                raise _invalid(files[0], "no certificate is left in it")
        except InvalidTlsSettings:
            if known is None:
                raise
            now = time.monotonic()
            known.broken_since = known.broken_since or now
            if now - known.broken_since > _GRACE:
                del self._contexts[settings]
                raise
            return known.context
        if known is None and len(self._contexts) >= _MAX_CONTEXTS:
            self._contexts.clear()
        self._contexts[settings] = _Context(made, stamps, authorities)
        return made


_NO_SETTINGS = TlsSettings()


def system_store() -> tuple[str, ...]:
    """Returns the files and folders of the authorities that the system trusts, by OpenSSL's variables or its build."""
    paths = ssl.get_default_verify_paths()
    file = os.environ.get(paths.openssl_cafile_env, paths.openssl_cafile)
    folders = os.environ.get(paths.openssl_capath_env, paths.openssl_capath)
    return (file, *folders.split(os.pathsep))


def _stamp(path: str) -> Stamp:
    try:
        found = os.stat(path)  # noqa: PTH116  at every TLS connection, and pathlib takes as long again
    except (OSError, ValueError):
        return None
    return (found.st_mtime_ns, found.st_size, found.st_ino, found.st_ctime_ns)


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
