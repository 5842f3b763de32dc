"""The request: the bytes of one `GET …/healthz`, built once per target."""

from __future__ import annotations

from healthprobe import __version__
from healthprobe.domain.endpoint import Endpoint

_AGENT = f"healthprobe/{__version__}"


def request_bytes(endpoint: Endpoint, path: str, *, keep_alive: bool) -> bytes:
    """A GET of `path` at `endpoint`, with its credentials as Basic authorization."""
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: {endpoint.authority}",
        f"User-Agent: {_AGENT}",
        "Accept: */*",
    ]
    if endpoint.authorization is not None:
        lines.append(f"Authorization: {endpoint.authorization}")
    if not keep_alive:
        lines.append("Connection: close")
    return "\r\n".join([*lines, "", ""]).encode("ascii")
