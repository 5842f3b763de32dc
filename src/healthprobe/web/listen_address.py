"""The address at which a run serves its page and API."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address

_UNIX = "unix:"


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
    """A host, which may be a name, and a port, 0 for any free port; or the `path` of a unix socket.

    An empty host is every address of this machine.
    """

    host: str
    port: int
    path: str = ""

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return bool(self.path) or is_loopback(self.host)

    @property
    def url(self) -> str:
        """The URL of the page."""
        return str(self) if self.path else f"http://{ListenAddress(self.host or '::', self.port)}/"

    def __str__(self) -> str:
        if self.path:
            return _UNIX + self.path
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def parse_listen_address(text: str | ListenAddress) -> ListenAddress | None:
    """Parses `HOST:PORT`, with an IPv6 host in brackets, `:PORT` or `unix:PATH`; `off` gives None.

    Raises ValueError.
    """
    if isinstance(text, ListenAddress):
        return text
    if text == "off":
        return None
    if path := unix_path(text):
        return ListenAddress("", 0, path)
    host, colon, port = text.rpartition(":")
    if host == "[]" or not (colon and port.isascii() and port.isdecimal() and int(port) < 65536):
        raise ValueError(
            f"{text!r} is not an address to listen at: write one such as 127.0.0.1:8600, localhost:8600, "
            ":8600 for every address of this machine, or unix:/run/healthprobe.sock"
        )
    return ListenAddress(host.removeprefix("[").removesuffix("]"), int(port))


def unix_path(address: str) -> str:
    """Returns the path in `unix:PATH` or `unix://PATH`, and an empty string for every other address."""
    return address.removeprefix(_UNIX).removeprefix("//") if address.startswith(_UNIX) else ""
