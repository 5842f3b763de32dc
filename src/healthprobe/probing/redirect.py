"""Redirects: followed within the engine that was probed, refused anywhere else."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote, urljoin, urlsplit

from healthprobe.domain.endpoint import DEFAULT_PORTS, Endpoint, InvalidEndpoint, masked, parse_endpoint

REDIRECT_STATUSES = frozenset({301, 302, 303, 307, 308})
REDIRECT_LIMIT = 10
"""The most redirects that one probe follows."""

_SAFE = "/%:@!$&'()*+,;=~-._?"


@dataclass(frozen=True, slots=True)
class Redirect:
    """The status and the Location header of a redirect."""

    status: int
    location: str


class RedirectRefused(Exception):
    """The redirect leads away from the engine: following it would let an engine send our requests to others."""


def redirected_path(endpoint: Endpoint, path: str, location: str) -> str:
    """Returns the path, with its query, to request next on the same engine.

    Raises RedirectRefused if scheme, host or port differ from those of `endpoint`, or `location` is invalid.
    """
    shown = masked(location)
    origin = (endpoint.scheme, endpoint.host, endpoint.port)
    if endpoint.socket is not None:
        origin = ("http", endpoint.host, DEFAULT_PORTS["http"])
    try:
        absolute = urlsplit(urljoin(f"{origin[0]}://{endpoint.authority}{path}", location.strip()))
        target = parse_endpoint(f"{absolute.scheme}://{absolute.netloc}")
    except (InvalidEndpoint, ValueError):
        raise RedirectRefused(f"redirect to {shown} refused: not a valid address") from None
    if (target.scheme, target.host, target.port) != origin:
        raise RedirectRefused(f"redirect to {shown} refused")
    query = f"?{absolute.query}" if absolute.query else ""
    return quote((absolute.path or "/") + query, safe=_SAFE)
