"""The address at which a run serves its page and API."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address


def is_loopback(host: str) -> bool:
    """Whether a host name or an address means this machine."""
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """A host, which may be a name, and a port, 0 for any free port."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return is_loopback(self.host)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def parse_listen_address(text: str | ListenAddress) -> ListenAddress | None:
    """Parses `HOST:PORT`, with an IPv6 host in brackets; `off` gives None. Raises ValueError."""
    if isinstance(text, ListenAddress):
        return text
    if text == "off":
        return None
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not (colon and host and port.isascii() and port.isdecimal() and int(port) < 65536):
        raise ValueError(f"{text!r} is not an address to listen at: write one such as 127.0.0.1:8600")
    return ListenAddress(host, int(port))
