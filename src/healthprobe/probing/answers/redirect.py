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


def redirected_path(endpoint: Endpoint, path: str, location: str, sent_host: str | None = None) -> str:
    """Returns the path, with its query, to request next on the same engine.

    `sent_host` is the Host header, where it is another one than the endpoint's: the engine knows itself by it. Raises
    RedirectRefused if `location` is invalid, its scheme is not that of `endpoint`, or its host and port are neither the
    endpoint's nor the sent ones.
    """
    shown = masked(location)
    scheme = "http" if endpoint.socket is not None else endpoint.scheme
    port = DEFAULT_PORTS["http"] if endpoint.socket is not None else endpoint.port
    try:
        absolute = urlsplit(urljoin(f"{scheme}://{endpoint.authority}{path}", location.strip()))
        target = parse_endpoint(f"{absolute.scheme}://{absolute.netloc}")
    except (InvalidEndpoint, ValueError):
        raise RedirectRefused(f"redirect to {shown} refused: not a valid address") from None
    origins = {(scheme, endpoint.server_name, port)}
    if sent_host is not None:
        origins |= _origins_of(sent_host, scheme, port)
    if (target.scheme, target.server_name, target.port) not in origins:
        raise RedirectRefused(f"redirect to {shown} refused")
    query = f"?{absolute.query}" if absolute.query else ""
    return quote((absolute.path or "/") + query, safe=_SAFE)


def _origins_of(sent_host: str, scheme: str, port: int) -> set[tuple[str, str, int]]:
    """Returns how an engine that got this Host header may write itself: as sent, or with the port it listens at."""
    try:
        sent = parse_endpoint(f"{scheme}://{sent_host}")
    except InvalidEndpoint:
        return set()
    return {(scheme, sent.server_name, sent.port), (scheme, sent.server_name, port)}
