"""Redirects: followed within the engine that was asked, refused anywhere else."""

from __future__ import annotations

from urllib.parse import quote, urljoin, urlsplit

from healthprobe.domain.endpoint import DEFAULT_PORTS, Endpoint, InvalidEndpoint, masked, parse_endpoint

REDIRECT_STATUSES = frozenset({301, 302, 303, 307, 308})
REDIRECT_LIMIT = 10
"""The most redirects that one probe follows."""

_SAFE = "/%:@!$&'()*+,;=~-._?"


class RedirectRefused(Exception):
    """The redirect leads away from the engine: following it would let an engine aim our requests at others."""


def redirected_path(endpoint: Endpoint, path: str, location: str) -> str:
    """The path, with its query, to ask for next on the same engine.

    Raises RedirectRefused where scheme, host or port differ from those of `endpoint`, or `location` makes no sense.
    """
    shown = masked(location)
    here = (endpoint.scheme, endpoint.host, endpoint.port)
    if endpoint.socket is not None:
        here = ("http", endpoint.host, DEFAULT_PORTS["http"])
    try:
        absolute = urlsplit(urljoin(f"{here[0]}://{endpoint.authority}{path}", location.strip()))
        there = parse_endpoint(f"{absolute.scheme}://{absolute.netloc}")
    except (InvalidEndpoint, ValueError):
        raise RedirectRefused(f"redirect to {shown} refused: not a valid address") from None
    if (there.scheme, there.host, there.port) != here:
        raise RedirectRefused(f"redirect to {shown} refused")
    query = f"?{absolute.query}" if absolute.query else ""
    return quote((absolute.path or "/") + query, safe=_SAFE)
