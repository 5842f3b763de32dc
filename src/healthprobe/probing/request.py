"""The request: the bytes of one `GET …/healthz`, built once per target."""

from __future__ import annotations

from healthprobe._util.version import __version__
from healthprobe.domain.endpoint import HEALTHZ_PATH, Endpoint
from healthprobe.domain.probe_settings import PLAIN, ProbeSettings
from healthprobe.domain.target import ProbeTarget

_AGENT = f"healthprobe/{__version__}"


def probe_path(target: ProbeTarget, endpoint: Endpoint) -> str:
    """What is asked for, below the endpoint's own prefix."""
    return endpoint.prefix + (target.settings.path or HEALTHZ_PATH)


def request_bytes(endpoint: Endpoint, path: str, *, keep_alive: bool, settings: ProbeSettings = PLAIN) -> bytes:
    """A GET, or what `settings` say, of `path` at `endpoint`, with its credentials as Basic authorization."""
    lines = [
        f"{settings.method} {path} HTTP/1.1",
        f"Host: {settings.host or endpoint.authority}",
    ]
    ours = {"User-Agent": _AGENT, "Accept": "*/*"}
    if endpoint.authorization is not None:
        ours["Authorization"] = endpoint.authorization
    theirs = {name.lower() for name, _ in settings.headers}
    lines += [f"{name}: {value}" for name, value in ours.items() if name.lower() not in theirs]
    lines += [f"{name}: {value}" for name, value in settings.headers]
    if not keep_alive:
        lines.append("Connection: close")
    return "\r\n".join([*lines, "", ""]).encode("latin-1")
