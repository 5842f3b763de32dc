"""Where a run listens for those who want to see it."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from ipaddress import ip_address

DEFAULT_PORT = 8600


@dataclass(frozen=True, slots=True)
class Listen:
    """Where to listen: a host, which may be a name, and a port, 0 for any that is free."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether nobody but this machine can reach it."""
        if self.host == "localhost":
            return True
        with contextlib.suppress(ValueError):
            return ip_address(self.host).is_loopback
        return False

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def parse_listen(text: str | Listen) -> Listen | None:
    """`HOST:PORT`, with a host of IPv6 in brackets, or None for `off`. Raises ValueError."""
    if isinstance(text, Listen):
        return text
    if text == "off":
        return None
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not (colon and host and port.isascii() and port.isdecimal() and int(port) < 65536):
        raise ValueError(f"{text!r} is no address to listen at: write one such as 127.0.0.1:8600")
    return Listen(host, int(port))
