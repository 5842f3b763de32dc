"""The endpoint of an engine, parsed once when a record appears or changes."""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from urllib.parse import quote, unquote, unquote_to_bytes

from healthprobe._util.international_names import ascii_name

HEALTHZ_PATH = "/healthz"
"""The default path of a probe, below the endpoint's prefix."""

DEFAULT_PORTS = {"http": 80, "https": 443}
_LONGEST_SOCKET = 107
"""The most bytes that the kernel's address of a unix socket holds."""

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*")
_HOST_NAME = re.compile(r"(?=.{1,253}\.?\Z)([A-Za-z0-9_]([A-Za-z0-9_\-]{0,61}[A-Za-z0-9_])?\.)*[A-Za-z0-9_\-]{1,63}\.?")
_IPV4 = re.compile(r"(?:(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])(?:\.(?=[0-9])|\Z)){4}")
"""Matches what IPv4Address accepts, at an eighth of its cost: an instance may take over a hundred thousand games."""

_MAX_HOST_LENGTH = 253
_ZONE = re.compile(r"[A-Za-z0-9._~\-]+")
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f-\xa0\\\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff\ud800-\udfff]")
_PATH_SAFE = "/%:@!$&'()*+,;=~-._"


class InvalidEndpoint(ValueError):
    """An endpoint that cannot be probed. The message says why, without credentials."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address that can be probed: `scheme` http or https, an ASCII `host` without brackets, a `port` and a `prefix`.

    `prefix` is a path without trailing slash. `authorization` is the value of a Basic authorization header, or None.
    `socket` is the path of a unix socket, which speaks HTTP too: its scheme is `unix`, its host localhost.
    """

    scheme: str
    host: str
    port: int
    prefix: str = ""
    authorization: str | None = field(default=None, repr=False)
    socket: str | None = None

    @property
    def authority(self) -> str:
        """The Host header: brackets around IPv6, no zone (RFC 6874), the port unless it is the scheme's default."""
        host = f"[{self.host.partition('%')[0]}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS.get(self.scheme, 0) else f"{host}:{self.port}"

    @property
    def server_name(self) -> str:
        """The host as certificates, SNI and redirects have it: without the zone, and without a dot at the end."""
        return self.host.partition("%")[0].rstrip(".")

    @property
    def url(self) -> str:
        """The endpoint without credentials."""
        return f"unix:{self.socket}" if self.socket is not None else f"{self.scheme}://{self.authority}{self.prefix}"

    @property
    def healthz_path(self) -> str:
        return self.prefix + HEALTHZ_PATH


def host_of(text: str) -> str:
    """Returns the host of an endpoint, or an empty text for one that cannot be probed.

    >>> host_of("http://10.0.0.7:8080"), host_of("nowhere")
    ('10.0.0.7', '')
    """
    try:
        return parse_endpoint(text).host
    except InvalidEndpoint:
        return ""


def parse_endpoint(text: str) -> Endpoint:
    """Returns the endpoint that `text` names. Raises InvalidEndpoint and nothing else.

    >>> parse_endpoint("http://game-7:8080/engine/").healthz_path
    '/engine/healthz'
    """
    if not text:
        raise InvalidEndpoint("it is empty")
    if _FORBIDDEN.search(text):
        raise InvalidEndpoint("it contains a space, a backslash or a control character")
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        return _parse_unix_path(path.removeprefix("//") if path.startswith("///") else path)
    scheme, separator, rest = text.partition("://")
    if not separator or not _SCHEME.fullmatch(scheme):
        raise InvalidEndpoint("it has no scheme; begin it with http:// or https://")
    scheme = scheme.lower()
    if scheme not in DEFAULT_PORTS:
        raise InvalidEndpoint(f"the scheme {scheme} is neither http nor https")
    if "#" in rest:
        raise InvalidEndpoint("it has a fragment (#)")
    if "?" in rest:
        raise InvalidEndpoint("it has a query (?)")
    authority, slash, path = rest.partition("/")
    credentials, at, location = authority.rpartition("@")
    host, port = _parse_location(location, scheme)
    return Endpoint(
        scheme=scheme,
        host=host,
        port=port,
        prefix=quote(slash + path, safe=_PATH_SAFE).rstrip("/"),
        authorization=_basic_authorization(credentials) if at else None,
    )


def _parse_unix_path(path: str) -> Endpoint:
    if not path.startswith("/") or path.startswith("//") or path.endswith("/"):
        raise InvalidEndpoint("a unix socket needs its absolute path, as in unix:/run/games/game-7.sock")
    if len(path.encode("utf-8", "replace")) > _LONGEST_SOCKET:
        raise InvalidEndpoint(f"the path of its socket is longer than {_LONGEST_SOCKET} bytes")
    return Endpoint("unix", "localhost", 0, socket=path)


def masked(text: str) -> str:
    """Returns `text`, any endpoint or URL even if it is invalid, with its credentials replaced by three asterisks.

    >>> masked("https://user:secret@game-7:8443/engine")
    'https://***@game-7:8443/engine'
    """
    before, at, after = text.rpartition("@")
    if not at:
        return text
    scheme, separator, _ = before.partition("://")
    return f"{scheme}{separator}***@{after}" if separator else f"***@{after}"


def _parse_location(location: str, scheme: str) -> tuple[str, int]:
    if location.startswith("["):
        host, bracket, after = location[1:].partition("]")
        if not bracket or (after and not after.startswith(":")):
            raise InvalidEndpoint("its IPv6 address is not closed by a bracket")
        return _parse_ipv6(host), _parse_port(after[1:]) if after else DEFAULT_PORTS[scheme]
    host, colon, port = location.partition(":")
    if ":" in port:
        raise InvalidEndpoint("an IPv6 address needs brackets, as in http://[::1]:8080")
    return _parse_host(host), _parse_port(port) if colon else DEFAULT_PORTS[scheme]


def _parse_ipv6(host: str) -> str:
    try:
        address = IPv6Address(unquote(host))
    except ValueError:
        raise InvalidEndpoint("the text in brackets is not an IPv6 address") from None
    if address.scope_id is not None and not _ZONE.fullmatch(address.scope_id):
        raise InvalidEndpoint("the zone of its IPv6 address is not an interface's name")
    return str(address)


def _parse_host(host: str) -> str:
    if not host:
        raise InvalidEndpoint("it has no host")
    if not host.isascii() and len(host) <= _MAX_HOST_LENGTH:
        try:
            host = ascii_name(host)
        except UnicodeError:
            raise InvalidEndpoint("its host is not a valid international name") from None
    if not _HOST_NAME.fullmatch(host):
        raise InvalidEndpoint("its host is not a name or an address")
    if host.rstrip(".").rpartition(".")[2].isdigit():
        if not _IPV4.fullmatch(host):
            raise InvalidEndpoint("its host is not an IPv4 address")
        return host
    return host.lower()


def _parse_port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= 65535):
        raise InvalidEndpoint("its port is not a number from 1 to 65535")
    return int(text)


def _basic_authorization(credentials: str) -> str:
    user, _, password = credentials.partition(":")
    return "Basic " + b64encode(unquote_to_bytes(user) + b":" + unquote_to_bytes(password)).decode("ascii")
