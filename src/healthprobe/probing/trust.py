"""Trust: the TLS contexts of probes, one for each way in which certificates are to be judged."""

from __future__ import annotations

import ssl
import time
from dataclasses import dataclass

from healthprobe.domain.probe_settings import TlsSettings
from healthprobe.probing.pem import readable, unusable

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
