"""The probe settings: what a record may say of how its game is asked, and by what its answers are judged."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from healthprobe.domain.outcome import OK

JsonValue = str | int | float | bool | None

StatusRange = tuple[int, int]
"""From a status to a status, both included."""


class ProbeKind(StrEnum):
    """How an engine is asked."""

    HTTP = "http"
    TCP = "tcp"
    """By connecting to it, and where `send` or an expectation says so, by a word and an answer."""

    GRPC = "grpc"
    """By the standard health service, grpc.health.v1."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """What an answer must be to be healthy. All of it must hold.

    `body_contains` is looked for in the first 64 KiB of what follows the head; over TCP in all that comes. `json_path`
    names a place in a JSON body, as `a.b[0].c`, where `json_value` must stand.
    """

    statuses: tuple[StatusRange, ...] = ((OK, OK),)
    body_contains: str | None = None
    json_path: str | None = None
    json_value: JsonValue = None

    @property
    def reads_body(self) -> bool:
        """Whether the head alone does not tell."""
        return self.body_contains is not None or self.json_path is not None


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """Whom to trust and as whom to come.

    `ca`, `certificate` and `key` are whole paths of PEM files on the prober's machine. Without `verify` any certificate
    will do. `server_name` is asked for and checked instead of the endpoint's host.
    """

    ca: str | None = None
    server_name: str | None = None
    verify: bool = True
    certificate: str | None = None
    key: str | None = None


@dataclass(frozen=True, slots=True)
class ProbeSettings:
    """How one game is asked. None is as the run says; the defaults of all else are the reference's own probe.

    `path` begins with a slash and takes the place of `/healthz`, below the endpoint's prefix. `host` is the Host
    header. `timeout` is in seconds. The game is asked in each `every`-th tick. `send` is what a TCP probe says once it
    is connected, `service` the gRPC service that is asked about, empty for the whole server.
    """

    kind: ProbeKind = ProbeKind.HTTP
    path: str | None = None
    port: int | None = None
    host: str | None = None
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    expect: Expectation = Expectation()
    timeout: float | None = None
    every: int = 1
    failures: int | None = None
    successes: int | None = None
    tls: TlsSettings | None = None
    send: str | None = None
    service: str = ""


PLAIN = ProbeSettings()
"""The reference's probe: GET /healthz, and 200."""
